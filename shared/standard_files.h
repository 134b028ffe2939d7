#ifndef SHARED_STANDARD_FILES_H
#define SHARED_STANDARD_FILES_H

/* Take the places of those of standard input, output and error that whoever
 * started us has closed.  The next file or socket would get that number, and
 * what is printed would go there.  Reading and writing fail as before.
 *
 * To be called before anything is opened. */
void standard_files_hold(void);

#endif
