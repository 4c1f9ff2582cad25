-- comfy.lua - nodes under the names of ComfyUI, so that its workflows run here.
--
-- Names, order, defaults and ranges of inputs and outputs are ComfyUI's: its clients and workflow
-- files go by them, widget values even by position. Inputs that only concern its Python engine
-- (weight_dtype, device) are taken and have no effect. What the video models of its templates do
-- not need is not here.

local tb = require "tubelet"
local sample = require "sample"

-- Ours for theirs. Only those we have are offered, so that a workflow is told at once what is missing.
local samplers = { euler = "euler", heun = "heun", dpmpp_2m = "dpmpp_2m", ddim = "ddim",
                   uni_pc = "unipc", uni_pc_bh2 = "unipc" }

local function sampler_choice()
  return tb.choice { "euler", "heun", "dpmpp_2m", "ddim", "uni_pc", "uni_pc_bh2",
                     default = "euler", literal = true, doc = "The update rule." }
end

local function scheduler_choice()
  return tb.choice { "simple", "sgm_uniform", "karras", "exponential", "normal", "beta",
                     "linear_quadratic", "kl_optimal", default = "simple",
                     doc = "How noise levels are spaced." }
end

local function batch_size()
  return tb.int { default = 1, min = 1, max = 4096, doc = "How many at once." }
end

local function prefix(default)
  return tb.string { default = default, literal = true,
                     doc = "Name before the number; may hold a folder, %year%, %month%, %width%, ..." }
end

local function numbered(inp, extension)
  return ("output:%s_#####_.%s"):format(inp.filename_prefix, extension)
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

-- ------------------------------------------------------------------------------------ sampling

tb.composite {
  name = "ModelSamplingSD3",
  title = "ModelSamplingSD3",
  category = "comfyui/model",
  doc = "Moves the steps of a flow model towards the noisy end.",
  example = [[
return tb.ModelSamplingSD3 { model = tb.UNETLoader { unet_name = "tubelet-tiny" }, shift = 5.0 }]],
  inputs = {
    model = tb.port("MODEL", { doc = "The diffusion transformer." }),
    shift = tb.float { default = 3.0, min = 0, max = 100, doc = "1 leaves the steps even." },
  },
  outputs = { MODEL = tb.port("MODEL") },
  expand = function(_, inp)
    return tb.model_shift { id = "shift", model = inp.model, shift = inp.shift }
  end,
}

-- how: seed, denoise, first and stop (steps), add (noise), leftover (noise).
local function denoise(inp, how)
  local stop = math.min(how.stop, inp.steps)
  if how.first >= stop then
    return inp.latent_image
  end
  local latent = tb.latent_noise { id = "noise", model = inp.model, latent = inp.latent_image,
                                   seed = how.seed, add = how.add }
  local steps = how.leftover and inp.steps or stop
  local sampler = samplers[inp.sampler_name]
  local sigmas = tb.schedule_levels { id = "sigmas", model = inp.model, scheduler = inp.scheduler,
                                      steps = inp.steps, denoise = how.denoise, end_step = steps,
                                      drop = sampler == "unipc" }
  local start = tb.add_noise { id = "start", latent = latent, sigmas = sigmas, step = how.first,
                               conditioning = inp.positive }
  return sample.unroll({ model = inp.model, positive = inp.positive, negative = inp.negative,
                         cfg = inp.cfg, sampler = sampler },
                       sigmas, start, how.first, stop, steps)
end

tb.composite {
  name = "KSampler",
  title = "KSampler",
  category = "comfyui/sampling",
  doc = "Denoises a latent in steps, each of which is stored.",
  example = [[
local clip = tb.CLIPLoader { clip_name = "tubelet-tiny" }
return tb.KSampler {
  model = tb.UNETLoader { unet_name = "tubelet-tiny" },
  positive = tb.CLIPTextEncode { clip = clip, text = "a red ball" },
  negative = tb.CLIPTextEncode { clip = clip, text = "" },
  latent_image = tb.EmptyHunyuanLatentVideo { width = 32, height = 32, length = 1 },
  seed = 7, steps = 2, cfg = 3.0, sampler_name = "uni_pc", scheduler = "simple",
}]],
  inputs = {
    model        = tb.port("MODEL", { doc = "The diffusion transformer." }),
    seed         = tb.int { default = 0, min = 0, seed = true, doc = "Same seed, same noise." },
    steps        = tb.int { default = 20, min = 1, max = 1000, literal = true, doc = "Denoising steps." },
    cfg          = tb.float { default = 8.0, min = 0, max = 100, literal = true,
                              doc = "Guidance; 1 uses the positive prompt alone, in half the time." },
    sampler_name = sampler_choice(),
    scheduler    = scheduler_choice(),
    positive     = tb.port("CONDITIONING", { doc = "What to show." }),
    negative     = tb.port("CONDITIONING", { doc = "What to steer away from." }),
    latent_image = tb.port("LATENT", { doc = "An empty latent, or one to change (see denoise)." }),
    denoise      = tb.float { default = 1.0, min = 0, max = 1, literal = true,
                              doc = "Share of the noise to start with; below 1 keeps some of the latent." },
  },
  outputs = { LATENT = tb.port("LATENT") },
  expand = function(_, inp)
    if inp.denoise <= 0 then
      return inp.latent_image
    end
    return denoise(inp, { seed = inp.seed, denoise = inp.denoise, first = 0, stop = inp.steps,
                          add = true, leftover = false })
  end,
}

tb.composite {
  name = "KSamplerAdvanced",
  title = "KSampler (Advanced)",
  category = "comfyui/sampling",
  doc = "Takes a part of the steps of a denoising run.",
  example = [[
local clip = tb.CLIPLoader { clip_name = "tubelet-tiny" }
local prompt = tb.CLIPTextEncode { clip = clip, text = "a red ball" }
local model = tb.UNETLoader { unet_name = "tubelet-tiny" }
local first = tb.KSamplerAdvanced {
  id = "first",
  model = model, positive = prompt, negative = prompt, cfg = 1.0,
  latent_image = tb.EmptyHunyuanLatentVideo { width = 32, height = 32, length = 1 },
  noise_seed = 7, steps = 4, end_at_step = 2, return_with_leftover_noise = "enable",
}
return tb.KSamplerAdvanced {
  model = model, positive = prompt, negative = prompt, cfg = 1.0, latent_image = first,
  add_noise = "disable", steps = 4, start_at_step = 2,
}]],
  inputs = {
    model        = tb.port("MODEL", { doc = "The diffusion transformer." }),
    add_noise    = tb.choice { "enable", "disable", default = "enable", literal = true,
                               doc = "disable: go on from what an earlier part left." },
    noise_seed   = tb.int { default = 0, min = 0, seed = true, doc = "Same seed, same noise." },
    steps        = tb.int { default = 20, min = 1, max = 1000, literal = true, doc = "Steps of the whole run." },
    cfg          = tb.float { default = 8.0, min = 0, max = 100, literal = true,
                              doc = "Guidance; 1 uses the positive prompt alone, in half the time." },
    sampler_name = sampler_choice(),
    scheduler    = scheduler_choice(),
    positive     = tb.port("CONDITIONING", { doc = "What to show." }),
    negative     = tb.port("CONDITIONING", { doc = "What to steer away from." }),
    latent_image = tb.port("LATENT", { doc = "An empty latent, or what an earlier part left." }),
    start_at_step = tb.int { default = 0, min = 0, max = 10000, literal = true, doc = "First step to take." },
    end_at_step  = tb.int { default = 10000, min = 0, max = 10000, literal = true,
                            doc = "Step to stop before." },
    return_with_leftover_noise = tb.choice { "disable", "enable", default = "disable", literal = true,
                                             doc = "enable: keep the noise that is left, for a next part." },
  },
  outputs = { LATENT = tb.port("LATENT") },
  expand = function(_, inp)
    return denoise(inp, { seed = inp.noise_seed, denoise = 1.0, first = inp.start_at_step,
                          stop = inp.end_at_step, add = inp.add_noise == "enable",
                          leftover = inp.return_with_leftover_noise == "enable" })
  end,
}

-- -------------------------------------------------------------------------------------- videos

tb.composite {
  name = "CreateVideo",
  title = "Create Video",
  category = "comfyui/video",
  doc = "Gives frames a rate.",
  example = [[
local picture = tb.load_image { path = "docs/frames.png" }
return tb.CreateVideo { images = picture, fps = 8.0 }]],
  inputs = {
    images = tb.port("IMAGE", { doc = "The frames." }),
    fps    = tb.float { default = 30.0, min = 1, max = 120, doc = "Frames a second." },
    audio  = tb.port("AUDIO", { optional = true, doc = "Not supported yet." }),
  },
  outputs = { VIDEO = tb.port("VIDEO") },
  expand = function(_, inp)
    return tb.make_video { id = "video", images = inp.images, fps = inp.fps }
  end,
}

tb.composite {
  name = "SaveVideo",
  title = "Save Video",
  category = "comfyui/video",
  doc = "Writes a video to the output folder, numbered.",
  example = [[
local picture = tb.load_image { path = "docs/frames.png", width = 32, height = 32 }
return tb.SaveVideo {
  video = tb.CreateVideo { images = picture, fps = 8.0 }, filename_prefix = "out.video",
}]],
  target = true,
  inputs = {
    video           = tb.port("VIDEO", { doc = "Frames and rate." }),
    filename_prefix = prefix("video/ComfyUI"),
    format          = tb.choice { "auto", "mp4", default = "auto", doc = "The container." },
    codec           = tb.choice { "auto", "h264", default = "auto", doc = "The codec." },
  },
  expand = function(_, inp)
    tb.mux { id = "save", video = inp.video, fps = 0, path = numbered(inp, "mp4") }
  end,
}

-- -------------------------------------------------------------------------------------- images

tb.composite {
  name = "SaveImage",
  title = "Save Image",
  category = "comfyui/image",
  doc = "Writes pictures to the output folder, numbered.",
  example = [[
local picture = tb.load_image { path = "docs/frames.png", width = 32, height = 32 }
return tb.SaveImage { images = picture, filename_prefix = "out.image" }]],
  target = true,
  inputs = {
    images          = tb.port("IMAGE", { doc = "The pictures." }),
    filename_prefix = prefix("ComfyUI"),
  },
  expand = function(_, inp)
    tb.save_image { id = "save", images = inp.images, path = numbered(inp, "png") }
  end,
}

tb.composite {
  name = "PreviewImage",
  title = "Preview Image",
  category = "comfyui/image",
  doc = "Writes pictures to the folder for what need not be kept.",
  example = [[
local picture = tb.load_image { path = "docs/frames.png", width = 32, height = 32 }
return tb.PreviewImage { images = picture }]],
  target = true,
  inputs = { images = tb.port("IMAGE", { doc = "The pictures." }) },
  expand = function(_, inp)
    tb.save_image { id = "save", images = inp.images, path = "temp:ComfyUI_temp_%session%_#####_.png" }
  end,
}
