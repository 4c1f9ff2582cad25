-- comfy_sampling.lua - ComfyUI's samplers, whole and in parts (see comfy.lua).
--
-- The parts of the custom sampling graph are no values of the engine but tables, which the sampler
-- that they lead to is expanded by:
--
--   NOISE    {seed, add}
--   SAMPLER  {sampler, eta}
--   SIGMAS   {sigmas, first, stop, steps}: steps first .. stop-1 of a schedule of so many
--   GUIDER   {settings of sample.unroll: model, positive, negative, cfg, ...}

local tb = require "tubelet"
local patched = require "patched"
local sample = require "sample"

-- Ours for theirs. Only those we have are offered, so that a workflow is told at once what is missing.
local samplers = { euler = "euler", euler_ancestral = "euler_ancestral", heun = "heun",
                   dpmpp_sde = "dpmpp_sde", dpmpp_sde_gpu = "dpmpp_sde", dpmpp_2m = "dpmpp_2m",
                   dpmpp_2m_sde = "dpmpp_2m_sde", dpmpp_2m_sde_gpu = "dpmpp_2m_sde",
                   dpmpp_3m_sde = "dpmpp_3m_sde", dpmpp_3m_sde_gpu = "dpmpp_3m_sde", lcm = "lcm",
                   ipndm = "ipndm", deis = "deis", res_multistep = "res_multistep", ddim = "ddim",
                   uni_pc = "unipc", uni_pc_bh2 = "unipc" }

local function sampler_choice()
  return tb.choice { "euler", "euler_ancestral", "heun", "dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m",
                     "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "lcm",
                     "ipndm", "deis", "res_multistep", "ddim", "uni_pc", "uni_pc_bh2",
                     default = "euler", literal = true, doc = "The update rule." }
end

local function scheduler_choice()
  return tb.choice { "simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "normal",
                     "beta", "linear_quadratic", "kl_optimal", default = "simple",
                     doc = "How noise levels are spaced." }
end

-- ------------------------------------------------------------------------------------ sampling

tb.composite {
  name = "ModelSamplingSD3",
  title = "ModelSamplingSD3",
  category = "comfyui/model",
  doc = "Moves the steps of a flow model towards the noisy end.",
  example = [[
return tb.ModelSamplingSD3 { model = tb.UNETLoader { unet_name = "tubelet-tiny" }, shift = 5.0 }]],
  inputs = {
    model = patched.port(),
    shift = tb.float { default = 3.0, min = 0, max = 100, doc = "1 leaves the steps even." },
  },
  outputs = { MODEL = tb.port("MODEL") },
  expand = function(_, inp)
    local model = patched.split(inp.model)
    return patched.keep(inp.model, tb.model_shift { id = "shift", model = model, shift = inp.shift })
  end,
}

-- The steps first .. stop-1 of a schedule: {sigmas, first, stop, steps}. settings: those of
-- sample.unroll; noise: {seed, add}. Without a step the latent stays as it is.
local function denoise(settings, schedule, noise, image)
  if schedule.first >= schedule.stop then
    return image
  end
  local latent = tb.latent_noise { id = "noise", model = settings.model, latent = image,
                                   seed = noise.seed, add = noise.add }
  settings.positive = tb.condition_start { id = "positive", conditioning = settings.positive,
                                           latent = latent }
  local start = tb.add_noise { id = "start", latent = latent, sigmas = schedule.sigmas,
                               step = schedule.first, conditioning = settings.positive }
  return sample.unroll(settings, schedule.sigmas, start, schedule.first, schedule.stop, schedule.steps)
end

-- how: seed, denoise, first and stop (steps), add (noise), leftover (noise).
local function ksample(inp, how)
  local settings = patched.settings(inp.model)
  local stop = math.min(how.stop, inp.steps)
  local steps = how.leftover and inp.steps or stop
  settings.positive, settings.negative, settings.cfg = inp.positive, inp.negative, inp.cfg
  settings.sampler = samplers[inp.sampler_name]
  if how.first >= stop then
    return inp.latent_image
  end
  local sigmas = tb.schedule_levels { id = "sigmas", model = settings.model, scheduler = inp.scheduler,
                                      steps = inp.steps, denoise = how.denoise, end_step = steps,
                                      drop = settings.sampler == "unipc" }
  return denoise(settings, { sigmas = sigmas, first = how.first, stop = stop, steps = steps },
                 { seed = how.seed, add = how.add }, inp.latent_image)
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
    model        = patched.port(),
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
    return ksample(inp, { seed = inp.seed, denoise = inp.denoise, first = 0, stop = inp.steps,
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
    model        = patched.port(),
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
    return ksample(inp, { seed = inp.noise_seed, denoise = 1.0, first = inp.start_at_step,
                          stop = inp.end_at_step, add = inp.add_noise == "enable",
                          leftover = inp.return_with_leftover_noise == "enable" })
  end,
}

-- ---------------------------------------------------------------------------- custom sampling

local function part(type, doc)
  return tb.port(type, { resolved = true, doc = doc })
end

local function table_of(value, what, nodes)
  if type(value) ~= "table" then
    error(("%s must come from one of ComfyUI's nodes: %s"):format(what, nodes), 0)
  end
  return value
end

local function schedule_of(value)
  return table_of(value, "sigmas", "BasicScheduler, SplitSigmas, SplitSigmasDenoise or ManualSigmas")
end

tb.composite {
  name = "RandomNoise",
  title = "RandomNoise",
  category = "comfyui/sampling",
  doc = "Noise to start from.",
  example = "return tb.RandomNoise { noise_seed = 7 }",
  inputs = { noise_seed = tb.int { default = 0, min = 0, seed = true, doc = "Same seed, same noise." } },
  outputs = { NOISE = "NOISE" },
  expand = function(_, inp)
    return { seed = inp.noise_seed, add = true }
  end,
}

tb.composite {
  name = "DisableNoise",
  title = "DisableNoise",
  category = "comfyui/sampling",
  doc = "No noise: go on from what an earlier part left.",
  example = "return tb.DisableNoise {}",
  outputs = { NOISE = "NOISE" },
  expand = function()
    return { seed = 0, add = false }
  end,
}

tb.composite {
  name = "KSamplerSelect",
  title = "KSamplerSelect",
  category = "comfyui/sampling",
  doc = "The update rule.",
  example = [[return tb.KSamplerSelect { sampler_name = "uni_pc" }]],
  inputs = { sampler_name = sampler_choice() },
  outputs = { SAMPLER = "SAMPLER" },
  expand = function(_, inp)
    return { sampler = samplers[inp.sampler_name] }
  end,
}

tb.composite {
  name = "SamplerEulerAncestral",
  title = "SamplerEulerAncestral",
  category = "comfyui/sampling",
  doc = "Euler with fresh noise in every step.",
  example = "return tb.SamplerEulerAncestral { eta = 0.5 }",
  inputs = {
    eta     = tb.float { default = 1.0, min = 0, max = 1, doc = "Share of fresh noise." },
    s_noise = tb.float { default = 1.0, min = 1, max = 1, doc = "Strength of fresh noise; only 1 is there." },
  },
  outputs = { SAMPLER = "SAMPLER" },
  expand = function(_, inp)
    return { sampler = "euler_ancestral", eta = inp.eta }
  end,
}

tb.composite {
  name = "BasicScheduler",
  title = "BasicScheduler",
  category = "comfyui/sampling",
  doc = "Noise levels of a run.",
  example = [[
return tb.BasicScheduler { model = tb.UNETLoader { unet_name = "tubelet-tiny" }, steps = 4 }]],
  inputs = {
    model     = patched.port("Tells the shift."),
    scheduler = scheduler_choice(),
    steps     = tb.int { default = 20, min = 1, max = 1000, literal = true, doc = "Denoising steps." },
    denoise   = tb.float { default = 1.0, min = 0, max = 1, literal = true,
                           doc = "Share of the noise to start with; below 1 keeps some of the latent." },
  },
  outputs = { SIGMAS = "SIGMAS" },
  expand = function(_, inp)
    if inp.denoise <= 0 then
      return { first = 0, stop = 0, steps = 0 }
    end
    local sigmas = tb.schedule_levels { id = "sigmas", model = patched.split(inp.model),
                                        scheduler = inp.scheduler, steps = inp.steps,
                                        denoise = inp.denoise }
    return { sigmas = sigmas, first = 0, stop = inp.steps, steps = inp.steps }
  end,
}

tb.composite {
  name = "ManualSigmas",
  title = "ManualSigmas",
  category = "comfyui/sampling",
  doc = "Noise levels of a run, one by one.",
  example = [[return tb.ManualSigmas { sigmas = "1, 0.9, 0.6, 0" }]],
  inputs = { sigmas = tb.string { default = "1, 0.5", literal = true,
                                  doc = "1 is all noise, 0 none; steps lead from each to the next." } },
  outputs = { SIGMAS = "SIGMAS" },
  expand = function(_, inp)
    local levels = {}
    for number in inp.sigmas:gmatch("[-+]?%d*%.?%d+") do
      levels[#levels + 1] = number
    end
    local steps = math.max(#levels - 1, 0)
    if steps == 0 then
      return { first = 0, stop = 0, steps = 0 }
    end
    return { sigmas = tb.schedule_manual { id = "sigmas", levels = table.concat(levels, ",") },
             first = 0, stop = steps, steps = steps }
  end,
}

-- The first `count` steps, and those from `from` on.
local function cut(s, count, from)
  local a, b = {}, {}
  for name, value in pairs(s) do
    a[name], b[name] = value, value
  end
  a.stop = math.max(math.min(s.first + count, s.stop), s.first)
  b.first = math.min(math.max(s.first + from, s.first), s.stop)
  return a, b
end

tb.composite {
  name = "SplitSigmas",
  title = "SplitSigmas",
  category = "comfyui/sampling",
  doc = "Cuts a run in two behind a step.",
  example = [[
return tb.SplitSigmas { sigmas = tb.ManualSigmas { sigmas = "1, 0.9, 0.6, 0" }, step = 1 }.low_sigmas]],
  inputs = {
    sigmas = part("SIGMAS", "The noise levels."),
    step   = tb.int { default = 0, min = 0, max = 10000, literal = true, doc = "Steps of the first part." },
  },
  outputs = { high_sigmas = tb.port("SIGMAS"), low_sigmas = tb.port("SIGMAS") },
  expand = function(_, inp)
    return cut(schedule_of(inp.sigmas), inp.step, inp.step)
  end,
}

tb.composite {
  name = "SplitSigmasDenoise",
  title = "SplitSigmasDenoise",
  category = "comfyui/sampling",
  doc = "Cuts a run in two so that the second part takes a share of the steps.",
  example = [[
return tb.SplitSigmasDenoise { sigmas = tb.ManualSigmas { sigmas = "1, 0.9, 0.6, 0" }, denoise = 0.7 }.low_sigmas]],
  inputs = {
    sigmas  = part("SIGMAS", "The noise levels."),
    denoise = tb.float { default = 1.0, min = 0, max = 1, literal = true, doc = "Share of the second part." },
  },
  outputs = { high_sigmas = tb.port("SIGMAS"), low_sigmas = tb.port("SIGMAS") },
  expand = function(_, inp)
    local s = schedule_of(inp.sigmas)
    local steps = s.stop - s.first
    local second = math.floor(steps * inp.denoise + 0.5)
    return cut(s, second > 0 and steps - second or 0, steps - second)
  end,
}

tb.composite {
  name = "BasicGuider",
  title = "Basic Guider",
  category = "comfyui/sampling",
  doc = "The prompt alone, without guidance.",
  example = [[
return tb.BasicGuider {
  model = tb.UNETLoader { unet_name = "tubelet-tiny" },
  conditioning = tb.CLIPTextEncode { text = "a red ball", clip = tb.CLIPLoader { clip_name = "tubelet-tiny" } },
}]],
  inputs = {
    model        = patched.port(),
    conditioning = tb.port("CONDITIONING", { doc = "What to show." }),
  },
  outputs = { GUIDER = "GUIDER" },
  expand = function(_, inp)
    local settings = patched.settings(inp.model)
    settings.positive, settings.cfg = inp.conditioning, 1.0
    return settings
  end,
}

local function guide(inp)
  local settings = patched.settings(inp.model)
  settings.positive, settings.negative, settings.cfg = inp.positive, inp.negative, inp.cfg
  return settings
end

local function cfg()
  return tb.float { default = 8.0, min = 0, max = 100,
                    doc = "Guidance; 1 uses the positive prompt alone, in half the time." }
end

tb.composite {
  name = "CFGGuider",
  title = "CFG Guider",
  category = "comfyui/sampling",
  doc = "Classifier-free guidance by two prompts.",
  example = [[
local clip = tb.CLIPLoader { clip_name = "tubelet-tiny" }
return tb.CFGGuider {
  model = tb.UNETLoader { unet_name = "tubelet-tiny" },
  positive = tb.CLIPTextEncode { text = "a red ball", clip = clip },
  negative = tb.CLIPTextEncode { text = "", clip = clip }, cfg = 3.0,
}]],
  inputs = {
    model    = patched.port(),
    positive = tb.port("CONDITIONING", { doc = "What to show." }),
    negative = tb.port("CONDITIONING", { doc = "What to steer away from." }),
    cfg      = cfg(),
  },
  outputs = { GUIDER = "GUIDER" },
  expand = function(_, inp)
    return guide(inp)
  end,
}

-- Both outputs: the state, and the clean estimate at it.
local function custom(settings, inp, noise)
  local schedule = schedule_of(inp.sigmas)
  local rule = table_of(inp.sampler, "sampler", "KSamplerSelect or SamplerEulerAncestral")
  settings.sampler, settings.eta = rule.sampler, rule.eta
  local latent = denoise(settings, schedule, noise, inp.latent_image)
  if schedule.first >= schedule.stop or schedule.stop == schedule.steps then
    return latent, latent
  end
  return latent, tb.latent_estimate { id = "denoised", latent = latent }
end

tb.composite {
  name = "SamplerCustomAdvanced",
  title = "SamplerCustomAdvanced",
  category = "comfyui/sampling",
  doc = "Denoises a latent by noise, guider, sampler and noise levels; each step is stored.",
  example = [[
local model = tb.UNETLoader { unet_name = "tubelet-tiny" }
local clip = tb.CLIPLoader { clip_name = "tubelet-tiny" }
return tb.SamplerCustomAdvanced {
  noise = tb.RandomNoise { noise_seed = 7 },
  guider = tb.BasicGuider { model = model, conditioning = tb.CLIPTextEncode { text = "a red ball", clip = clip } },
  sampler = tb.KSamplerSelect { sampler_name = "euler" },
  sigmas = tb.BasicScheduler { model = model, steps = 2 },
  latent_image = tb.EmptyHunyuanLatentVideo { width = 32, height = 32, length = 1 },
}.output]],
  inputs = {
    noise        = part("NOISE", "RandomNoise or DisableNoise."),
    guider       = part("GUIDER", "Model and prompts."),
    sampler      = part("SAMPLER", "The update rule."),
    sigmas       = part("SIGMAS", "The noise levels."),
    latent_image = tb.port("LATENT", { doc = "An empty latent, one to change, or what an earlier part left." }),
  },
  outputs = { output = tb.port("LATENT"), denoised_output = tb.port("LATENT") },
  expand = function(_, inp)
    local noise = table_of(inp.noise, "noise", "RandomNoise or DisableNoise")
    return custom(table_of(inp.guider, "guider", "CFGGuider or BasicGuider"), inp, noise)
  end,
}

tb.composite {
  name = "SamplerCustom",
  title = "SamplerCustom",
  category = "comfyui/sampling",
  doc = "Denoises a latent by a sampler and noise levels; each step is stored.",
  example = [[
local model = tb.UNETLoader { unet_name = "tubelet-tiny" }
local prompt = tb.CLIPTextEncode { text = "a red ball", clip = tb.CLIPLoader { clip_name = "tubelet-tiny" } }
return tb.SamplerCustom {
  model = model, noise_seed = 7, cfg = 1.0, positive = prompt, negative = prompt,
  sampler = tb.KSamplerSelect { sampler_name = "euler" },
  sigmas = tb.BasicScheduler { model = model, steps = 2 },
  latent_image = tb.EmptyHunyuanLatentVideo { width = 32, height = 32, length = 1 },
}.output]],
  inputs = {
    model        = patched.port(),
    add_noise    = tb.bool { default = true, literal = true,
                             doc = "false: go on from what an earlier part left." },
    noise_seed   = tb.int { default = 0, min = 0, seed = true, doc = "Same seed, same noise." },
    cfg          = cfg(),
    positive     = tb.port("CONDITIONING", { doc = "What to show." }),
    negative     = tb.port("CONDITIONING", { doc = "What to steer away from." }),
    sampler      = part("SAMPLER", "The update rule."),
    sigmas       = part("SIGMAS", "The noise levels."),
    latent_image = tb.port("LATENT", { doc = "An empty latent, one to change, or what an earlier part left." }),
  },
  outputs = { output = tb.port("LATENT"), denoised_output = tb.port("LATENT") },
  expand = function(_, inp)
    return custom(guide(inp), inp, { seed = inp.noise_seed, add = inp.add_noise })
  end,
}
