/* library.h - the Lua child of the server and the node types it knows, made ready beside the first
 * requests.
 *
 * Threads: the loop thread; what it makes is for all (server_internal.h).
 */
#pragma once

#include "server/server_internal.h"

/* Begins to start the child. */
void tbs_library_open(tb_server *s);
void tbs_library_close(tb_server *s);
/* A second child with the same nodes, for short questions while the first is busy; started when it
 * is asked for. Any thread but the loop's: it waits. Borrowed. */
tb_script *tbs_library_validator(tb_server *s, tb_err *err);
