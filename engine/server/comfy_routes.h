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
void tbs_post_upload_mask(void *ctx, tb_request *q);  /* comfy_mask.c */
void tbs_get_models(void *ctx, tb_request *q);        /* comfy_models.c */
void tbs_get_models_of(void *ctx, tb_request *q);
void tbs_get_embeddings(void *ctx, tb_request *q);
void tbs_get_model_folders(void *ctx, tb_request *q);
void tbs_get_model_folder(void *ctx, tb_request *q);
void tbs_get_model_preview(void *ctx, tb_request *q);
void tbs_get_view_metadata(void *ctx, tb_request *q);
void tbs_get_jobs(void *ctx, tb_request *q); /* comfy_jobs.c */
void tbs_get_job(void *ctx, tb_request *q);
void tbs_post_jobs(void *ctx, tb_request *q);
void tbs_get_settings(void *ctx, tb_request *q); /* comfy_user.c */
void tbs_get_setting(void *ctx, tb_request *q);
void tbs_post_settings(void *ctx, tb_request *q);
void tbs_post_setting(void *ctx, tb_request *q);
void tbs_get_userdata_list(void *ctx, tb_request *q);
void tbs_get_userdata_folder(void *ctx, tb_request *q);
void tbs_get_userdata(void *ctx, tb_request *q);
void tbs_post_userdata(void *ctx, tb_request *q);
void tbs_delete_userdata(void *ctx, tb_request *q);
void tbs_get_logs(void *ctx, tb_request *q); /* comfy_logs.c */
void tbs_get_raw_logs(void *ctx, tb_request *q);
void tbs_patch_logs(void *ctx, tb_request *q);
void tbs_get_empty_list(void *ctx, tb_request *q); /* comfy_rest.c */
void tbs_get_empty_object(void *ctx, tb_request *q);
void tbs_post_free(void *ctx, tb_request *q);
void tbs_get_users(void *ctx, tb_request *q);
void tbs_get_folder_paths(void *ctx, tb_request *q);
void tbs_get_files(void *ctx, tb_request *q);
