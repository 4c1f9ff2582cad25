/* storing.h - what commands that look into the store share. */
#pragma once

#include "cli/cli.h"
#include "store/store.h"

/* The store that --store names, else the default one. NULL on error. */
tb_store *cli_store_open(const cli_args *args, bool read_only, tb_err *err);
