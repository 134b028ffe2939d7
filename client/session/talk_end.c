#include "client/session/talk_end.h"

#include "client/session/mailbox.h"

struct talk_end talk_end_by(unsigned letters)
{
	if (letters & LETTER_CORRUPT)
		return (struct talk_end){PEER_END_CORRUPT, "sent bad data"};
	if (letters & LETTER_BANNED)
		return (struct talk_end){
			PEER_END_NEIGHBOURS, "its address is banned"};
	if (letters & LETTER_DUPLICATE)
		return (struct talk_end){
			PEER_END_DUPLICATE, "connected already"};
	if (letters & LETTER_MAKE_ROOM)
		return (struct talk_end){
			PEER_END_USELESS, "idle, and another waits"};
	return (struct talk_end){PEER_END_STOPPED, "stopped"};
}
