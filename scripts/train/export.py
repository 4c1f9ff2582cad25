"""Writes a trained model as f16 safetensors: diffusers folders, original Wan and UMT5 names.

    python3 export.py --dit dit.pt --vae vae.pt --out tiny
"""
import argparse
import json
import os
import numpy as np
import torch
import latents
import tensors
import text
import world


def write_json(path, value):
    with open(path + ".part", "w") as f:
        json.dump(value, f, indent=1)
    os.replace(path + ".part", path)


def transformer_config(d):
    c = d["config"]
    return dict(
        _class_name="WanTransformer3DModel",
        patch_size=[1, 2, 2],
        in_channels=36,
        out_channels=16,
        num_layers=c["layers"],
        num_attention_heads=c["heads"],
        attention_head_dim=c["dim"] // c["heads"],
        ffn_dim=c["ffn"],
        freq_dim=256,
        text_dim=d["encoder"]["shared.weight"].shape[1],
        text_length=32,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        eps=1e-6,
        condition="latent frames: 4 mask channels, then 16 channels of known latents, "
        "zero where unknown",
    )


def latent_rgb(vae, mean, std, clips=48):
    """How a latent is shown without decoding it: the linear map (factors [16][3], bias [3]) from normalised
    latents to the mean colour, -1..1, of the pixels under them, by least squares over rendered clips.
    """
    rng, cells, colours = np.random.default_rng(0), [], []
    for i in range(clips):
        clip = world.clip(world.random_scene(rng), 17, *world.CLIP_SIZES[i % len(world.CLIP_SIZES)])
        z = (latents.encode(vae, clip[None])[0] - mean.view(-1, 1, 1, 1)) / std.view(-1, 1, 1, 1)
        x = torch.nn.functional.avg_pool2d(latents.pixels([clip])[0], 8)
        x = torch.cat([x[:, :1], x[:, 1:].unflatten(1, (-1, 4)).mean(2)], 1)
        cells.append(z.flatten(1).t())
        colours.append(x.flatten(1).t())
    cells = torch.cat(cells)
    inputs = torch.cat([cells, torch.ones(len(cells), 1)], 1)
    fit = torch.linalg.lstsq(inputs.double(), torch.cat(colours).double()).solution
    rounded = [[round(x, 4) for x in row] for row in fit.tolist()]
    return rounded[:-1], rounded[-1]


def vae_config(v, d):
    factors, bias = latent_rgb(latents.vae_of(v), d["mean"], d["std"])
    return dict(
        _class_name="AutoencoderKLWan",
        base_dim=v["config"]["dim"],
        decoder_base_dim=v["config"]["dec_dim"],
        z_dim=16,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        temporal_downsample=[True, True],
        patch_size=2,
        is_residual=True,
        scale_factor_spatial=8,
        scale_factor_temporal=4,
        latents_mean=d["mean"].tolist(),
        latents_std=d["std"].tolist(),
        latent_rgb_factors=factors,
        latent_rgb_bias=bias,
    )


def text_encoder_config(d):
    w, block = d["encoder"], "encoder.block.0.layer."
    buckets, heads = w[block + "0.SelfAttention.relative_attention_bias.weight"].shape
    return dict(
        _class_name="UMT5EncoderModel",
        vocab_size=len(w["shared.weight"]),
        d_model=w["shared.weight"].shape[1],
        num_layers=sum(k.endswith("SelfAttention.q.weight") for k in w),
        num_heads=heads,
        d_kv=len(w[block + "0.SelfAttention.q.weight"]) // heads,
        d_ff=len(w[block + "1.DenseReluDense.wi_0.weight"]),
        relative_attention_num_buckets=buckets,
        relative_attention_max_distance=128,
        feed_forward_proj="gated-gelu",
        layer_norm_epsilon=1e-6,
        pad_token_id=text.PAD,
        eos_token_id=text.EOS,
    )


SCHEDULER = dict(
    _class_name="FlowMatchEulerDiscreteScheduler",
    num_train_timesteps=1000,
    shift=3.0,
    guidance_scale=3.0,
)
INDEX = dict(
    _class_name="WanPipeline",
    transformer=["diffusers", "WanTransformer3DModel"],
    vae=["diffusers", "AutoencoderKLWan"],
    text_encoder=["transformers", "UMT5EncoderModel"],
    tokenizer=["transformers", "T5TokenizerFast"],
    scheduler=["diffusers", "FlowMatchEulerDiscreteScheduler"],
)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--dit", default="dit.pt")
    ap.add_argument("--vae", default="vae.pt")
    ap.add_argument("--out", default="tiny")
    a = ap.parse_args()
    torch.set_num_threads(1)
    d, v = torch.load(a.dit), torch.load(a.vae)
    folder = lambda name: os.path.join(a.out, name)
    for name in ("transformer", "vae", "text_encoder", "tokenizer", "scheduler"):
        os.makedirs(folder(name), exist_ok=True)
    for name, weights, config in (
        ("transformer", d["model"], transformer_config(d)),
        ("vae", v["model"], vae_config(v, d)),
        ("text_encoder", d["encoder"], text_encoder_config(d)),
    ):
        half = {k: t.half() for k, t in weights.items()}
        tensors.write(os.path.join(folder(name), "model.safetensors"), half, {"format": "pt"})
        write_json(os.path.join(folder(name), "config.json"), config)
    text.Tokenizer().write(os.path.join(folder("tokenizer"), "tokenizer.json"))
    write_json(os.path.join(folder("scheduler"), "scheduler_config.json"), SCHEDULER)
    write_json(folder("model_index.json"), INDEX)


if __name__ == "__main__":
    main()
