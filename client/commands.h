#ifndef CLIENT_COMMANDS_H
#define CLIENT_COMMANDS_H

/* What follows `tbt-client` on the command line.  argv[0] is the command's
 * name.  Each returns the exit status: 0 the job was done, 1 it failed while
 * running, 2 bad usage; a failure has been told on stderr by then. */
int command_create(int argc, char **argv);
int command_leech(int argc, char **argv);
int command_seed(int argc, char **argv);
int command_show(int argc, char **argv);
int command_verify(int argc, char **argv);

#endif
