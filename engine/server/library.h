/* library.h - the Lua child of the server and the node types it knows, made ready beside the first
 * requests.
 *
 * Threads: the loop thread; the child is started on libuv's pool.
 */
#pragma once

#include "server/server_internal.h"

/* Begins to start the child. */
void tbs_library_open(tb_server *s);
void tbs_library_close(tb_server *s);
