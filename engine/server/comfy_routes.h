/* comfy_routes.h - handlers of ComfyUI's routes, for the table in comfy.c. */
#pragma once

#include "server/web.h"

void tbs_post_prompt(void *ctx, tb_request *q); /* comfy_prompt.c */
void tbs_get_prompt(void *ctx, tb_request *q);
void tbs_get_queue(void *ctx, tb_request *q); /* comfy_queue.c */
void tbs_post_queue(void *ctx, tb_request *q);
void tbs_post_interrupt(void *ctx, tb_request *q);
void tbs_get_history(void *ctx, tb_request *q);
void tbs_get_history_of(void *ctx, tb_request *q);
void tbs_post_history(void *ctx, tb_request *q);
void tbs_get_object_info(void *ctx, tb_request *q); /* comfy_info.c */
void tbs_get_object_info_of(void *ctx, tb_request *q);
void tbs_get_system_stats(void *ctx, tb_request *q);
void tbs_get_features(void *ctx, tb_request *q);
void tbs_get_view(void *ctx, tb_request *q);          /* comfy_view.c */
void tbs_post_upload_image(void *ctx, tb_request *q); /* comfy_upload.c */
