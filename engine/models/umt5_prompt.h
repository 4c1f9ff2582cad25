/* umt5_prompt.h - what Wan does to a prompt before it is tokenised (wan/modules/tokenizers.py). */
#pragma once

/* HTML entities unescaped twice (an entity may have been escaped itself), white space runs to one
 * blank, none at the ends. Invalid UTF-8 passes through. Freed by free(). */
char *tb_umt5_clean_prompt(const char *text);
