-- comfy.lua - nodes under the names of ComfyUI, so that its workflows run here.
--
-- Names, order, defaults and ranges of inputs and outputs are ComfyUI's: its clients and workflow
-- files go by them, widget values even by position. Inputs that only concern its Python engine
-- (weight_dtype, device) are taken and have no effect. What the video models of its templates do
-- not need is not here. Sampling: comfy_sampling.lua; what changes it: comfy_patches.lua; pictures,
-- videos and files: comfy_media.lua; values: comfy_values.lua.

local tb = require "tubelet"
local patched = require "patched"

local function batch_size()
  return tb.int { default = 1, min = 1, max = 4096, doc = "How many at once." }
end

-- ------------------------------------------------------------------------------------ loaders

tb.composite {
  name = "UNETLoader",
  title = "Load Diffusion Model",
  category = "comfyui/loaders",
  doc = "A diffusion transformer from the models' folders.",
  example = [[
return tb.UNETLoader { unet_name = "tubelet-tiny" }]],
  inputs = {
    unet_name    = tb.choice { files = "diffusion_models", doc = "File in diffusion_models or unet." },
    weight_dtype = tb.choice { "default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2",
                               default = "default", doc = "Without effect: weights stay as they are stored." },
  },
  outputs = { MODEL = tb.port("MODEL") },
  expand = function(_, inp)
    return tb.load_model { id = "load", transformer = "diffusion_models:" .. inp.unet_name }.model
  end,
}

tb.composite {
  name = "CLIPLoader",
  title = "Load CLIP",
  category = "comfyui/loaders",
  doc = "A text encoder, and the tokenizer beside it, from the models' folders.",
  example = [[
return tb.CLIPLoader { clip_name = "tubelet-tiny" }]],
  inputs = {
    clip_name = tb.choice { files = "text_encoders", doc = "File in text_encoders or clip." },
    type      = tb.choice { "wan", default = "wan", doc = "The models it serves." },
    device    = tb.choice { "default", "cpu", default = "default", doc = "Without effect." },
  },
  outputs = { CLIP = tb.port("CLIP") },
  expand = function(_, inp)
    return tb.load_model { id = "load", text_encoder = "text_encoders:" .. inp.clip_name }.clip
  end,
}

tb.composite {
  name = "VAELoader",
  title = "Load VAE",
  category = "comfyui/loaders",
  doc = "A video autoencoder from the models' folders.",
  example = [[
return tb.VAELoader { vae_name = "tubelet-tiny" }]],
  inputs = { vae_name = tb.choice { files = "vae", doc = "File in vae." } },
  outputs = { VAE = tb.port("VAE") },
  expand = function(_, inp)
    return tb.load_model { id = "load", vae = "vae:" .. inp.vae_name }.vae
  end,
}

tb.composite {
  name = "CheckpointLoaderSimple",
  title = "Load Checkpoint",
  category = "comfyui/loaders",
  doc = "Transformer, text encoder and VAE of one model from the models' folders.",
  example = [[
return tb.CheckpointLoaderSimple { ckpt_name = "tubelet-tiny" }]],
  inputs = { ckpt_name = tb.choice { files = "checkpoints", doc = "File or folder in checkpoints." } },
  outputs = { MODEL = tb.port("MODEL"), CLIP = tb.port("CLIP"), VAE = tb.port("VAE") },
  expand = function(_, inp)
    local m = tb.load_model { id = "load", path = "checkpoints:" .. inp.ckpt_name }
    return m.model, m.clip, m.vae
  end,
}

local function lora_choice()
  return tb.choice { files = "loras", doc = "File in loras." }
end

local function lora_strength()
  return tb.float { default = 1.0, min = -100, max = 100, literal = true,
                    doc = "0 leaves the model as it is." }
end

local function with_lora(inp)
  if inp.strength_model == 0 then
    return inp.model
  end
  local model = patched.split(inp.model)
  return patched.keep(inp.model, tb.load_lora { id = "load", model = model, path = "loras:" .. inp.lora_name,
                                                strength = inp.strength_model })
end

tb.composite {
  name = "LoraLoader",
  title = "Load LoRA",
  category = "comfyui/loaders",
  doc = "Adds a LoRA from the models' folders to a diffusion transformer.",
  example = [[
local m = tb.CheckpointLoaderSimple { ckpt_name = "tubelet-tiny" }
return tb.LoraLoader {
  model = m.MODEL, clip = m.CLIP, lora_name = "tubelet-tiny-star", strength_model = 0.8,
}]],
  inputs = {
    model          = patched.port(),
    clip           = tb.port("CLIP", { doc = "Passed on: LoRAs for text encoders are not supported." }),
    lora_name      = lora_choice(),
    strength_model = lora_strength(),
    strength_clip  = tb.float { default = 1.0, min = -100, max = 100, doc = "Without effect." },
  },
  outputs = { MODEL = tb.port("MODEL"), CLIP = tb.port("CLIP") },
  expand = function(_, inp)
    return with_lora(inp), inp.clip
  end,
}

tb.composite {
  name = "LoraLoaderModelOnly",
  title = "Load LoRA (Model Only)",
  category = "comfyui/loaders",
  doc = "Adds a LoRA from the models' folders to a diffusion transformer.",
  example = [[
return tb.LoraLoaderModelOnly {
  model = tb.UNETLoader { unet_name = "tubelet-tiny" }, lora_name = "tubelet-tiny-star",
  strength_model = 0.8,
}]],
  inputs = {
    model          = patched.port(),
    lora_name      = lora_choice(),
    strength_model = lora_strength(),
  },
  outputs = { MODEL = tb.port("MODEL") },
  expand = function(_, inp)
    return with_lora(inp)
  end,
}

tb.composite {
  name = "CLIPVisionLoader",
  title = "Load CLIP Vision",
  category = "comfyui/loaders",
  doc = "An image encoder from the models' folders; the bundled model needs none, and its features are empty.",
  example = [[
return tb.CLIPVisionLoader { clip_name = "tubelet-tiny" }]],
  inputs = { clip_name = tb.choice { files = "clip_vision", doc = "File in clip_vision." } },
  outputs = { CLIP_VISION = tb.port("CLIP_VISION") },
  expand = function(_, inp)
    return tb.load_model { id = "load", image_encoder = "clip_vision:" .. inp.clip_name }.clip_vision
  end,
}

tb.composite {
  name = "CLIPVisionEncode",
  title = "CLIP Vision Encode",
  category = "comfyui/conditioning",
  doc = "Turns a picture into features for models that read them (Wan2.1 I2V).",
  example = [[
return tb.CLIPVisionEncode {
  clip_vision = tb.CLIPVisionLoader { clip_name = "tubelet-tiny" },
  image = tb.load_image { path = "docs/frames.png" },
}]],
  inputs = {
    clip_vision = tb.port("CLIP_VISION", { doc = "The encoder." }),
    image       = tb.port("IMAGE", { doc = "The picture." }),
    crop        = tb.choice { "center", "none", default = "center",
                              doc = "Its middle, or all of it made square." },
  },
  outputs = { CLIP_VISION_OUTPUT = tb.port("CLIP_VISION_OUTPUT") },
  expand = function(_, inp)
    return tb.clip_vision_encode { id = "encode", clip_vision = inp.clip_vision, image = inp.image,
                                   crop = inp.crop }
  end,
}

-- ------------------------------------------------------------------------------- conditioning

tb.composite {
  name = "CLIPTextEncode",
  title = "CLIP Text Encode (Prompt)",
  category = "comfyui/conditioning",
  doc = "Turns a prompt into features that steer the picture.",
  example = [[
return tb.CLIPTextEncode {
  text = "a red ball", clip = tb.CLIPLoader { clip_name = "tubelet-tiny" },
}]],
  inputs = {
    text = tb.string { multiline = true, doc = "What to show, or what to avoid." },
    clip = tb.port("CLIP", { doc = "The text encoder." }),
  },
  outputs = { CONDITIONING = tb.port("CONDITIONING") },
  expand = function(_, inp)
    return tb.text_encode { id = "encode", clip = inp.clip, text = inp.text }
  end,
}

-- ------------------------------------------------------------------------------------- latents

tb.composite {
  name = "EmptyHunyuanLatentVideo",
  title = "EmptyHunyuanLatentVideo",
  category = "comfyui/latent",
  doc = "The size of a video to be made.",
  example = [[
return tb.EmptyHunyuanLatentVideo { width = 32, height = 32, length = 5 }]],
  inputs = {
    width      = tb.int { default = 848, min = 16, max = 16384, unit = "pixels", doc = "Width." },
    height     = tb.int { default = 480, min = 16, max = 16384, unit = "pixels", doc = "Height." },
    length     = tb.int { default = 25, min = 1, max = 16384, unit = "frames", doc = "Frames." },
    batch_size = batch_size(),
  },
  outputs = { LATENT = tb.port("LATENT") },
  expand = function(_, inp)
    return tb.empty_latent { id = "empty", width = inp.width, height = inp.height,
                             frames = inp.length, batch = inp.batch_size }
  end,
}

tb.composite {
  name = "EmptyLatentImage",
  title = "Empty Latent Image",
  category = "comfyui/latent",
  doc = "The size of a picture to be made.",
  example = [[
return tb.EmptyLatentImage { width = 32, height = 32 }]],
  inputs = {
    width      = tb.int { default = 512, min = 16, max = 16384, unit = "pixels", doc = "Width." },
    height     = tb.int { default = 512, min = 16, max = 16384, unit = "pixels", doc = "Height." },
    batch_size = batch_size(),
  },
  outputs = { LATENT = tb.port("LATENT") },
  expand = function(_, inp)
    return tb.empty_latent { id = "empty", width = inp.width, height = inp.height, frames = 1,
                             batch = inp.batch_size }
  end,
}

tb.composite {
  name = "VAEDecode",
  title = "VAE Decode",
  category = "comfyui/latent",
  doc = "Turns a latent into frames.",
  example = [[
return tb.VAEDecode {
  samples = tb.EmptyHunyuanLatentVideo { width = 32, height = 32, length = 1 },
  vae = tb.VAELoader { vae_name = "tubelet-tiny" },
}]],
  inputs = {
    samples = tb.port("LATENT", { doc = "The denoised latent." }),
    vae     = tb.port("VAE", { doc = "The autoencoder." }),
  },
  outputs = { IMAGE = tb.port("IMAGE") },
  expand = function(_, inp)
    return tb.vae_decode { id = "decode", vae = inp.vae, latent = inp.samples }
  end,
}

tb.composite {
  name = "VAEDecodeTiled",
  title = "VAE Decode (Tiled)",
  category = "comfyui/latent",
  doc = "Turns a latent into frames tile by tile: less memory, slightly other pixels.",
  example = [[
return tb.VAEDecodeTiled {
  samples = tb.EmptyHunyuanLatentVideo { width = 128, height = 64, length = 1 },
  vae = tb.VAELoader { vae_name = "tubelet-tiny" }, tile_size = 64,
}]],
  inputs = {
    samples          = tb.port("LATENT", { doc = "The denoised latent." }),
    vae              = tb.port("VAE", { doc = "The autoencoder." }),
    tile_size        = tb.int { default = 512, min = 64, max = 4096, unit = "pixels", literal = true,
                                doc = "Of a tile." },
    overlap          = tb.int { default = 64, min = 0, max = 4096, unit = "pixels", literal = true,
                                doc = "Of neighbouring tiles, which are blended there; at most a quarter of one." },
    temporal_size    = tb.int { default = 64, min = 8, max = 4096, unit = "frames",
                                doc = "Without effect: frames are decoded one after the other with what the "
                                      .. "earlier ones leave, in little memory and without seams." },
    temporal_overlap = tb.int { default = 8, min = 4, max = 4096, unit = "frames",
                                doc = "Without effect: there are no seams in time." },
  },
  outputs = { IMAGE = tb.port("IMAGE") },
  expand = function(_, inp)
    -- in steps that suit both of Wan's autoencoders, 8 and 16 pixels a latent
    local overlap = math.min(inp.overlap, inp.tile_size // 4) // 16 * 16
    return tb.vae_decode { id = "decode", vae = inp.vae, latent = inp.samples, tile = inp.tile_size,
                           overlap = overlap }
  end,
}

tb.composite {
  name = "VAEEncode",
  title = "VAE Encode",
  category = "comfyui/latent",
  doc = "Turns pictures or a video into a latent.",
  example = [[
return tb.VAEEncode {
  pixels = tb.load_image { path = "docs/frames.png", width = 32, height = 32 },
  vae = tb.VAELoader { vae_name = "tubelet-tiny" },
}]],
  inputs = {
    pixels = tb.port("IMAGE", { doc = "The frames; those over 4k + 1 are left out." }),
    vae    = tb.port("VAE", { doc = "The autoencoder." }),
  },
  outputs = { LATENT = tb.port("LATENT") },
  expand = function(_, inp)
    return tb.vae_encode { id = "encode", vae = inp.vae, image = inp.pixels, trim = true }
  end,
}

-- ------------------------------------------------------------------------------ image to video

-- Pictures as ComfyUI resizes them: bilinear, what is over cut around the centre.
local function resized(id, inp, image)
  return image and tb.image_resize { id = id, image = image, width = inp.width, height = inp.height,
                                     fit = "crop", filter = "bilinear" }
end

-- Known first and last frames, the frames between grey, for both conditionings.
local function condition(inp, first, last)
  if not first and not last then
    return inp.positive, inp.negative
  end
  local video = tb.image_frames { id = "frames", start = resized("start", inp, first),
                                  ["end"] = resized("end", inp, last), frames = inp.length }
  local latent = tb.vae_encode { id = "encode", vae = inp.vae, image = video.image, trim = true }
  local function with(id, conditioning)
    return tb.condition { id = id, conditioning = conditioning, latent = latent, frames = "all",
                          mask = video.mask, hold = false, keep = true }
  end
  return with("positive", inp.positive), with("negative", inp.negative)
end

-- Inputs and expansion of the Wan nodes that condition on pictures.
local function wan_inputs(more)
  local inputs = {
    positive   = tb.port("CONDITIONING", { doc = "What to show." }),
    negative   = tb.port("CONDITIONING", { doc = "What to steer away from." }),
    vae        = tb.port("VAE", { doc = "The autoencoder." }),
    width      = tb.int { default = 832, min = 16, max = 16384, unit = "pixels", doc = "Width." },
    height     = tb.int { default = 480, min = 16, max = 16384, unit = "pixels", doc = "Height." },
    length     = tb.int { default = 81, min = 1, max = 16384, unit = "frames", doc = "Frames." },
    batch_size = batch_size(),
  }
  for _, port in ipairs(more) do
    inputs[port[1]] = tb.port(port[2], { optional = true, doc = port[3] })
  end
  return inputs
end

-- vision: features of the first and of the last picture, { start, end }.
local function wan_expand(inp, vision, first, last)
  local latent = tb.empty_latent { id = "empty", width = inp.width, height = inp.height,
                                   frames = inp.length, batch = inp.batch_size }
  local positive, negative = condition(inp, first, last)
  local function with(id, conditioning)
    if not vision.start and not vision["end"] then
      return conditioning
    end
    return tb.condition_image { id = id, conditioning = conditioning, start = vision.start,
                                ["end"] = vision["end"] }
  end
  return with("positive_image", positive), with("negative_image", negative), latent
end

local wan_outputs = { positive = tb.port("CONDITIONING"), negative = tb.port("CONDITIONING"),
                      latent = tb.port("LATENT") }

local wan_example = [[
local clip = tb.CLIPLoader { clip_name = "tubelet-tiny" }
local prompt = tb.CLIPTextEncode { clip = clip, text = "a red ball" }
return tb.%s {
  positive = prompt, negative = prompt, vae = tb.VAELoader { vae_name = "tubelet-tiny" },
  width = 32, height = 32, length = 5, start_image = tb.load_image { path = "docs/frames.png" },
}]]

tb.composite {
  name = "WanImageToVideo",
  title = "WanImageToVideo",
  category = "comfyui/conditioning",
  doc = "A video that begins with a picture.",
  example = wan_example:format("WanImageToVideo"),
  inputs = wan_inputs {
    { "clip_vision_output", "CLIP_VISION_OUTPUT", "Features of the picture, for models that read them." },
    { "start_image", "IMAGE", "The first frames." },
  },
  outputs = wan_outputs,
  expand = function(_, inp)
    return wan_expand(inp, { start = inp.clip_vision_output }, inp.start_image)
  end,
}

tb.composite {
  name = "WanFirstLastFrameToVideo",
  title = "WanFirstLastFrameToVideo",
  category = "comfyui/conditioning",
  doc = "A video between two pictures.",
  example = wan_example:format("WanFirstLastFrameToVideo"),
  inputs = wan_inputs {
    { "clip_vision_start_image", "CLIP_VISION_OUTPUT", "Features of the first picture, for models that read them." },
    { "clip_vision_end_image", "CLIP_VISION_OUTPUT", "Features of the last picture." },
    { "start_image", "IMAGE", "The first frames." },
    { "end_image", "IMAGE", "The last frames." },
  },
  outputs = wan_outputs,
  expand = function(_, inp)
    return wan_expand(inp, { start = inp.clip_vision_start_image, ["end"] = inp.clip_vision_end_image },
                      inp.start_image, inp.end_image)
  end,
}

tb.composite {
  name = "WanFunInpaintToVideo",
  title = "WanFunInpaintToVideo",
  category = "comfyui/conditioning",
  doc = "A video between two pictures, for the Fun models.",
  example = wan_example:format("WanFunInpaintToVideo"),
  inputs = wan_inputs {
    { "clip_vision_output", "CLIP_VISION_OUTPUT", "Features of the first picture, for models that read them." },
    { "start_image", "IMAGE", "The first frames." },
    { "end_image", "IMAGE", "The last frames." },
  },
  outputs = wan_outputs,
  expand = function(_, inp)
    return wan_expand(inp, { start = inp.clip_vision_output }, inp.start_image, inp.end_image)
  end,
}

tb.composite {
  name = "TrimVideoLatent",
  title = "TrimVideoLatent",
  category = "comfyui/latent",
  doc = "Leaves out the first latent frames.",
  example = [[
return tb.TrimVideoLatent {
  samples = tb.EmptyHunyuanLatentVideo { width = 32, height = 32, length = 9 }, trim_amount = 1,
}]],
  inputs = {
    samples     = tb.port("LATENT", { doc = "The latent." }),
    trim_amount = tb.int { default = 0, min = 0, max = 99999, unit = "latent frames", doc = "How many." },
  },
  outputs = { LATENT = tb.port("LATENT") },
  expand = function(_, inp)
    return tb.latent_slice { id = "slice", latent = inp.samples, start = inp.trim_amount }
  end,
}

tb.composite {
  name = "Wan22ImageToVideoLatent",
  title = "Wan22ImageToVideoLatent",
  category = "comfyui/latent",
  doc = "The size of a video to be made, and its first frames where they are known.",
  example = [[
return tb.Wan22ImageToVideoLatent {
  vae = tb.VAELoader { vae_name = "tubelet-tiny" }, width = 32, height = 32, length = 5,
  start_image = tb.load_image { path = "docs/frames.png" },
}]],
  inputs = {
    vae         = tb.port("VAE", { doc = "The autoencoder." }),
    width       = tb.int { default = 1280, min = 32, max = 16384, unit = "pixels", doc = "Width." },
    height      = tb.int { default = 704, min = 32, max = 16384, unit = "pixels", doc = "Height." },
    length      = tb.int { default = 49, min = 1, max = 16384, unit = "frames", doc = "Frames." },
    batch_size  = batch_size(),
    start_image = tb.port("IMAGE", { optional = true, doc = "The first frames." }),
  },
  outputs = { LATENT = tb.port("LATENT") },
  expand = function(_, inp)
    local empty = tb.empty_latent { id = "empty", width = inp.width, height = inp.height,
                                    frames = inp.length, batch = inp.batch_size,
                                    channels = 48, stride = 16 }
    if not inp.start_image then
      return empty
    end
    local known = tb.vae_encode { id = "encode", vae = inp.vae, trim = true,
                                  image = resized("start", inp, inp.start_image) }
    return tb.latent_start { id = "latent", latent = empty, start = known }
  end,
}
