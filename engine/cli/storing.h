/* storing.h - what commands that look into the store share. */
#pragma once

#include "cli/cli.h"
#include "store/store.h"

/* The store that --store names, else the default one. NULL on error. */
tb_store *cli_store_open(const cli_args *args, bool read_only, tb_err *err);
/* A folder that cannot be read or written is a store that cannot be used: its own exit code.
 * Returns err. */
tb_err *cli_store_error(tb_err *err);
