"""A whale at sea in the evening, drawn by code."""

import math


def hash_noise(x, y):
    """0..1 for a point of the grid, the same on every machine."""
    h = (x * 374761393 + y * 668265263) & 0xFFFFFFFF
    h = ((h ^ h >> 13) * 1274126177) & 0xFFFFFFFF
    return ((h ^ h >> 16) & 0xFFFF) / 65535


def noise(x, y):
    """Smooth noise: between the grid's points it goes gently over."""
    left, top = math.floor(x), math.floor(y)
    u, v = x - left, y - top
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    upper = (hash_noise(left, top) * (1 - u) + hash_noise(left + 1, top) * u)
    lower = (hash_noise(left, top + 1) * (1 - u)
             + hash_noise(left + 1, top + 1) * u)
    return upper * (1 - v) + lower * v


def mix(a, b, share):
    share = min(1, max(0, share))
    return tuple(p + (q - p) * share for p, q in zip(a, b))


NIGHT, ROSE, GOLD = (24, 32, 74), (214, 110, 104), (250, 196, 120)
DEEP, SHALLOW, FOAM = (6, 26, 52), (46, 104, 128), (226, 236, 236)
WHALE, BELLY = (58, 66, 82), (206, 210, 210)

HORIZON = 0.46
SUN = (0.74, 0.37)


def sky(x, y):
    colour = mix(NIGHT, ROSE, y / HORIZON * 1.15)
    colour = mix(colour, GOLD, (y / HORIZON - 0.6) * 2)
    cloud = (noise(x * 7, y * 24) + noise(x * 17, y * 52) / 2) / 1.5
    colour = mix(colour, (255, 214, 190), (cloud - 0.55) * 2.2 * y / HORIZON)
    star = hash_noise(int(x * 1100), int(y * 780))
    if star > 0.9985:
        colour = mix(colour, (255, 255, 240), 0.9 - y / HORIZON)
    distance = math.hypot(x - SUN[0], (y - SUN[1]) * 0.7)
    colour = mix(colour, (255, 236, 190), (0.16 - distance) * 3)
    return (255, 246, 220) if distance < 0.045 else colour


def sea(x, y):
    depth = (y - HORIZON) / (1 - HORIZON)
    scale = 1 / (0.06 + depth)  # waves are larger in front
    ripple = noise(x * 9 * scale + 40, depth * 46) * 0.65 + noise(
        x * 34 * scale, depth * 120) * 0.35
    colour = mix(SHALLOW, DEEP, depth * 0.9)
    colour = mix(colour, ROSE, (0.5 - depth) * 0.7)
    colour = mix(colour, (12, 40, 66), (0.5 - ripple) * 1.6)
    colour = mix(colour, FOAM, (ripple - 0.72) * 4)
    glitter = max(0, 0.3 - abs(x - SUN[0]) * (3 - 2 * depth))
    return mix(colour, GOLD, glitter * (ripple - 0.3) * 6)


def whale(x, y):
    """The whale's colour here, or None: a back like a long hill, a head on
    the left, and a tail raised on the right."""
    along = (x - 0.12) / 0.5
    water = 0.63 + 0.008 * math.sin(x * 40)
    if 0 < along < 1 and y < water:
        back = 0.20 * math.sqrt(along) * (1 - along) ** 0.9 * 1.9
        if y > 0.63 - back:
            height = (0.63 - y) / max(back, 0.001)
            skin = noise(x * 60, y * 90) * 0.3 + noise(x * 9, y * 160) * 0.2
            colour = mix(BELLY, WHALE, height * 3.2 - 0.2)
            colour = mix(colour, (20, 26, 40), skin - height * 0.15)
            colour = mix(colour, GOLD, (height - 0.85) * 2.5)
            eye = math.hypot(x - 0.205, (y - 0.575) * 0.7)
            if eye < 0.006:
                return (240, 240, 230) if eye < 0.002 else (12, 14, 20)
            return colour
    stem = abs(x - 0.70 - (0.64 - y) * 0.1)
    if 0.39 < y < 0.645 and stem < 0.012 + 0.6 * (y - 0.39) ** 2 + (y - 0.39) * 0.05:
        return mix(WHALE, (20, 26, 40), noise(x * 50, y * 50))
    side = abs(x - 0.725) / 0.12
    if side < 1:
        tips = 0.395 - 0.05 * side * side  # the flukes bend upwards
        notch = 0.012 * max(0, 1 - side * 6)
        thick = 0.03 * (1 - side) ** 0.7
        if tips - thick / 2 + notch < y < tips + thick + 0.012 * (1 - side):
            return mix(WHALE, (20, 26, 40), noise(x * 50, y * 50))
    return None


def spout(x, y):
    """How much of the whale's breath is in the air here, 0..1."""
    rise = (0.482 - y) / 0.28
    if not 0 < rise < 1:
        return 0
    centre = 0.265 + 0.03 * rise * rise * (1 if x > 0.265 else -1)
    width = 0.008 + 0.05 * rise * rise
    inside = 1 - abs(x - centre) / width
    return max(0, inside) * (1 - rise) * (0.5 + noise(x * 150, y * 60))


def foam(x, y):
    """White water where the whale and its tail lie in the sea."""
    body = 0 if not 0.08 < x < 0.66 else 1 - abs(
        y - 0.637 - 0.008 * math.sin(x * 40)) / 0.016
    tail = 1 - math.hypot((x - 0.70) / 3.2, y - 0.645) / 0.018
    return max(0, body, tail) * noise(x * 120, y * 160) * 1.4


def draw(width, height):
    """Rows of (red, green, blue)."""
    rows = []
    for row in range(height):
        y = row / height
        line = []
        for column in range(width):
            x = column / width
            colour = whale(x, y)
            if colour is None:
                colour = sky(x, y) if y < HORIZON else sea(x, y)
            colour = mix(colour, (246, 246, 250), spout(x, y))
            if 0.6 < y < 0.68:
                colour = mix(colour, FOAM, foam(x, y))
            # A little grain, as of paper.
            grain = (hash_noise(column + 9999, row) - 0.5) * 9
            line.append(tuple(min(255, max(0, int(c + grain)))
                              for c in colour))
        rows.append(line)
    return rows
