#ifndef TRACKER_SERVE_H
#define TRACKER_SERVE_H

/* `tbt-tracker serve`: run the tracker until a signal ends it.  argv[0] is the
 * command's name.  Returns the exit status; a failure has been printed. */
int serve(int argc, char **argv);

#endif
