"""A sea story of any length, told by dice: our own words, put together by a
small grammar.  The same seed gives the same story on every machine."""

import random
import textwrap

NAMES = [
    "Anna Brook", "Tobias Reed", "old Mercer", "Joan Halloway", "the boy Peter",
    "Miss Arden", "Captain Voss", "the cook Bellamy", "Ruth Carrow",
    "Doctor Lindqvist", "young Farrow", "the mate Okoro", "Simon Thule",
    "Isaac the carpenter", "Mary Pell", "the harpooner Tavo",
]
PLACES = [
    "the Grey Banks", "Cape Sorrow", "the Bay of Lanterns", "Port Ellery",
    "the Straits of Ash", "the Long Reef", "Saint Orla", "the Whale Roads",
    "the mouth of the Teal", "the Seven Skerries", "Kettle Island",
    "the warm current off Maroa", "the ice edge", "the harbour of Dunmarrow",
]
PARTS = [
    "the mainsail", "the anchor chain", "the bilge pump", "the fore hatch",
    "the wheel", "the long boat", "the lamp on the binnacle", "the topmast",
    "the galley stove", "the rail", "the chart table", "the ship's bell",
    "the water casks", "the rudder head", "the mizzen shrouds",
]
ADJECTIVES = [
    "grey", "restless", "silver", "patient", "cold", "bright", "heavy",
    "endless", "quiet", "salt-white", "dark", "gentle", "uneasy", "deep",
    "ragged", "pale", "slow", "ancient", "sudden", "broken",
]
THINGS = [
    "swell", "wind", "fog", "light", "tide", "shadow", "foam", "horizon",
    "current", "rain", "moon", "silence", "gale", "sky", "wake", "water",
]
ANIMALS = [
    "a white whale", "three dolphins", "a lone albatross", "a shoal of herring",
    "a sperm whale and her calf", "a great many gulls", "a sleeping seal",
    "something pale and very large", "two fin whales", "a flight of petrels",
]
MOVES = [
    "rose out of the water", "crossed our bow", "followed the ship",
    "circled us twice", "went down without a sound", "lay still on the surface",
    "breathed close by in the dark", "kept us company until morning",
]
DEEDS = [
    "mended {part}", "sat down beside {part}", "took hold of {part}",
    "painted {part} for the second time", "swore at {part}",
    "looked long at {part}", "fell asleep against {part}",
    "told a tale about {part}", "tied a rag of red cloth to {part}",
    "listened to {part}", "scrubbed {part}", "climbed above {part}",
    "put a lantern on {part}", "counted the marks on {part}",
]
TIMES = [
    "before sunrise", "at noon", "in the middle watch", "toward evening",
    "on the third day", "after the rain", "when the moon was up",
    "at the change of the watch", "a week later", "that same night",
    "while the kettle boiled", "as soon as the fog lifted",
]
THOUGHTS = [
    "the sea keeps no letters and forgets no debts",
    "a ship is only a long promise made of wood",
    "nobody is ever quite alone who has a rope in hand",
    "what is shared between many is carried by each",
    "a piece of the whole, rightly kept, is worth more than the whole badly kept",
    "the whale knew the way better than any chart",
    "one must give in order to be given to",
    "there is no hurry in deep water",
    "every far shore is somebody's home",
    "the wind asks nobody and answers nobody",
    "the longest voyage is made of short watches",
    "he who has seen the white one does not speak of it before breakfast",
]
SPEECHES = [
    "How far is it to {place}?", "I have seen worse at {place}.",
    "Leave {part} alone and come below.", "That was no wave.",
    "Do you hear it breathing?", "Let go, and haul when I say so!",
    "We shall share what there is.", "I would give a month's pay for a dry coat.",
    "Somebody must have the other half.", "Mind {part}!",
    "My mother came from {place}.", "There! Two points off the bow!",
    "It will be calm by morning.", "Ask {name}, not me.",
]
SAYING = ["said", "cried", "murmured", "answered", "whispered", "called"]
SOUNDS = ["hummed", "groaned", "sang", "creaked", "fell silent", "trembled"]
TITLES = [
    "In Which the Wind Turns", "{Place}", "{Name} Keeps the Watch",
    "Of {part}", "The {adjective} {thing}", "A Conversation at Night",
    "What Lay Beyond {place}", "The White One", "A Short Calm",
    "How {name} Came Aboard", "Letters That Were Not Sent", "Bread and Rope",
]
SENTENCES = [
    "{Time} {name} {deed}.",
    "{Name} {deed}, and {name} {deed}.",
    "{Time} we came in sight of {place}, and the {adjective} {thing} lay all about us.",
    "The {thing} was {adjective} and {adjective}, and nobody spoke.",
    "{Name} {saying}: “{speech}”",
    "“{speech}” That was {name}, who {deed}. “{speech}”",
    "{Time} {animal} {move}.",
    "{Name} used to say that {thought}.",
    "Between {place} and {place} there is nothing but {adjective} water.",
    "{Part} {sound}, and {time} all was still.",
    "It is written in the log that {time} {animal} {move}.",
    "I remember how {name} {deed}, though the {thing} was {adjective}.",
    "If anyone but {name} had been on deck, we should never have seen {place} again.",
    "Some say that {thought}; {name} said that {thought}.",
    "The {adjective} {thing} went over us, then a {adjective} {thing}, then nothing at all.",
    "{Name} had it from {name} that near {place} {animal} once {move}.",
    "We gave {name} bread, and {name} gave us news of {place}.",
]


class Teller:
    """Fills the forms above.  Only random() is used: of all of Python's dice it
    is the one that is promised to stay the same."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.last = {}

    def number(self, low, high):
        return low + int(self.dice.random() * (high - low + 1))

    def pick(self, words):
        """One of the words, but never the same twice running."""
        while True:
            word = words[int(self.dice.random() * len(words))]
            if word != self.last.get(id(words)):
                self.last[id(words)] = word
                return word

    def fill(self, form):
        tables = {
            "name": NAMES, "place": PLACES, "part": PARTS,
            "adjective": ADJECTIVES, "thing": THINGS, "animal": ANIMALS,
            "move": MOVES, "deed": DEEDS, "time": TIMES,
            "thought": THOUGHTS, "speech": SPEECHES, "saying": SAYING,
            "sound": SOUNDS,
        }
        out = ""
        while "{" in form:
            before, _, rest = form.partition("{")
            key, _, form = rest.partition("}")
            word = self.fill(self.pick(tables[key.lower()]))
            if key[0].isupper():
                word = word[0].upper() + word[1:]
            out += before + word
        return out + form

    def paragraph(self):
        sentences = [self.fill(self.pick(SENTENCES))
                     for _ in range(self.number(4, 9))]
        return textwrap.fill(" ".join(sentences), 72)

    def chapter(self, number):
        title = self.fill(self.pick(TITLES))
        head = f"CHAPTER {number}\n\n{title}\n"
        body = [self.paragraph() for _ in range(self.number(12, 24))]
        return head + "\n" + "\n\n".join(body) + "\n"


def story(title, seed, size):
    """At least `size` bytes of it, in UTF-8, in whole chapters."""
    teller = Teller(seed)
    parts = [f"{title}\n{'=' * len(title)}\n"]
    length = 0
    while length < size:
        parts.append(teller.chapter(len(parts)))
        length += len(parts[-1].encode())
    parts.append("THE END\n")
    return "\n\n".join(parts).encode()


def log_book(seed, days):
    """The pages of a ship's log: one paragraph a day."""
    teller = Teller(seed)
    return [f"Day {day}.\n\n{teller.paragraph()}\n" for day in range(1, days + 1)]
