/* web_bytes.h - how much of what a client sent has been read. */
#pragma once

#include <stdint.h>

/* Bytes taken from a TCP socket so far, by whomever. 0: it is none, or closed. */
uint64_t tbs_web_bytes_read(int fd);
