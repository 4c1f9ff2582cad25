-- sample.lua - denoising as a composite: every step becomes nodes of its own.
--
-- Each dit_step, guidance and sampler_step has its own key, so a killed run continues at the step it had
-- reached, and any step can be the start of a branch. With cfg = 1, or without `negative`, the
-- unconditional pass is left out.
--
-- Steps are counted on the whole schedule, also by a part of a run (start_step, end_step): its steps
-- are those of the whole run, in the store too, so a run that is cut in two repeats nothing.
--
-- For other composites (comfy.lua, windows.lua):
--
--   sample.unroll(settings, sigmas, latent, first, stop, steps)   makes the steps
--   sample.inputs()                                               what `sample` takes
--   sample.expand(inp, evaluate)                                  its nodes, with another velocity
--   sample.velocity(settings, sigmas, latent, step, stage, suffix, steps)

local tb = require "tubelet"
local patched = require "patched"

-- Samplers that ask the model twice in a step, and where the second time: at the next level, half way.
local second = { heun = 1, dpmpp_sde = 2 }

local function within(share, first, last)
  return share >= (first or 0) and share < (last or 1)
end

-- The threshold of step caching in this step; nil: the model is asked.
local function threshold(inp, share)
  return (inp.cache or 0) > 0 and within(share, inp.cache_start, inp.cache_end) and inp.cache or nil
end

-- Left out where it is the default, so that plain graphs stay plain; it may be a link.
local function rescale_of(inp)
  return inp.guidance_rescale ~= 0 and inp.guidance_rescale or nil
end

-- Both answers of the model as one, and the running sum of adaptive projected guidance.
local function guided(inp, sigmas, latent, step, stage, suffix, cond, uncond)
  if inp.guidance ~= "apg" then
    return tb.guidance { id = "guidance" .. suffix, cond = cond, uncond = uncond, cfg = inp.cfg,
                         rescale = rescale_of(inp), star = inp.guidance == "cfg_zero_star" or nil }
  end
  local g = tb.guidance_apg { id = "guidance" .. suffix, cond = cond, uncond = uncond, latent = latent,
                              sigmas = sigmas, step = step, stage = stage, cfg = inp.cfg,
                              eta = inp.apg_eta, norm_threshold = inp.apg_norm,
                              momentum = inp.apg_momentum, channels = inp.apg_channels,
                              rescale = rescale_of(inp) }
  return g.velocity, g.average
end

-- Away from the answer of the model without some blocks; v where that is not asked for.
local function skipped(inp, sigmas, latent, step, stage, suffix, share, cond, v)
  if (inp.slg_scale or 0) <= 0 or not within(share, inp.slg_start, inp.slg_end) then
    return v
  end
  local skip = tb.dit_step { id = "skip" .. suffix, model = inp.model, latent = latent,
                             conditioning = inp.positive, sigmas = sigmas, step = step, stage = stage,
                             skip_blocks = inp.slg_blocks }
  return tb.guidance_skip { id = "guidance_skip" .. suffix, velocity = v, cond = cond, skip = skip,
                            scale = inp.slg_scale, rescale = inp.slg_rescale }
end

-- The velocity at `latent`, and what the sampler's step is to keep for later ones; `suffix` tells the
-- second stage of a step from the first.
local function velocity(inp, sigmas, latent, step, stage, suffix, steps)
  local share = step / steps
  if step < (inp.zero_init or 0) then
    return tb.zero_velocity { id = "zero" .. suffix, latent = latent }, {}
  end
  local reuse = threshold(inp, share)
  local residual = reuse and inp.cache_residual
  local keep = (inp.cache or 0) > 0
  local cond = tb.dit_step { id = "cond" .. suffix, model = inp.model, latent = latent,
                             conditioning = inp.positive, sigmas = sigmas, step = step, stage = stage,
                             reuse = reuse, residual = residual }
  if inp.cfg == 1 or not inp.negative then
    return skipped(inp, sigmas, latent, step, stage, suffix, share, cond, cond),
           keep and { cond = cond, reuse = reuse } or {}
  end
  local skip = not inp.slg_scale and within(share, inp.slg_start, inp.slg_end) and inp.slg_blocks or nil
  local uncond = tb.dit_step { id = "uncond" .. suffix, model = inp.model, latent = latent,
                               conditioning = inp.negative, known = inp.positive,
                               sigmas = sigmas, step = step, stage = stage, skip_blocks = skip,
                               reuse = reuse, residual = residual, pass = reuse and "uncond" or nil }
  local v, average = guided(inp, sigmas, latent, step, stage, suffix, cond, uncond)
  v = skipped(inp, sigmas, latent, step, stage, suffix, share, cond, v)
  return v, { average = average, cond = keep and cond or nil, uncond = keep and uncond or nil,
              reuse = reuse }
end

-- One call of the sampler; fields left nil keep their defaults.
local function advance(inp, sigmas, id, latent, v, kept, previous, step, stage)
  return tb.sampler_step { id = id, sampler = inp.sampler, latent = latent, velocity = v,
                           previous = previous, sigmas = sigmas, step = step, stage = stage,
                           conditioning = inp.positive, seed = inp.seed, eta = inp.eta,
                           variance = inp.variance, average = kept.average, cond = kept.cond,
                           uncond = kept.uncond, reuse = kept.reuse }
end

-- The state after a step. The last one, into a sigma of 0, has no second evaluation.
local function one_step(inp, evaluate, sigmas, latent, step, steps)
  local v, kept = evaluate(inp, sigmas, latent, step, 0, "", steps)
  local stage = step < steps - 1 and second[inp.sampler]
  if not stage then
    return advance(inp, sigmas, "step", latent, v, kept or {}, nil, step, 0)
  end
  local mid = advance(inp, sigmas, "mid", latent, v, kept or {}, nil, step, 0)
  local v2, kept2 = evaluate(inp, sigmas, mid, step, stage, "_2", steps)
  return advance(inp, sigmas, "step", mid, v2, kept2 or {}, latent, step, stage)
end

-- Steps first .. stop-1 of a schedule of `steps` from a latent that is at the first one's level.
-- settings: model, positive, negative, cfg, sampler, and seed, eta, variance, those of guidance and
-- step caching if any; slg_scale and slg_rescale turn skip-layer guidance into a third pass. `evaluate` stands in for `velocity`.
local function unroll(settings, sigmas, latent, first, stop, steps, evaluate)
  if (settings.cache or 0) > 0 and second[settings.sampler] then
    error(("cache is for samplers that ask the model once in a step, %s asks twice; set cache to 0 or choose another sampler")
            :format(settings.sampler), 0)
  end
  evaluate = evaluate or velocity
  local name = "step_%0" .. math.max(2, #tostring(steps - 1)) .. "d"
  for step = first, stop - 1 do
    tb.scope(name:format(step), function()
      latent = one_step(settings, evaluate, sigmas, latent, step, steps)
    end)
  end
  return latent
end

local function inputs()
  return {
    model      = patched.port(),
    latent     = tb.port("LATENT", { doc = "Noise, or a latent to change (see denoise)." }),
    positive   = tb.port("CONDITIONING", { doc = "What to show, with known frames if there are any." }),
    negative   = tb.port("CONDITIONING", { optional = true, doc = "What to steer away from." }),
    steps      = tb.int { default = 20, min = 1, max = 1000, literal = true, doc = "Denoising steps." },
    cfg        = tb.float { default = 3.0, min = 0, max = 100, literal = true,
                            doc = "Guidance; 1 uses the positive prompt alone, in half the time." },
    sampler    = tb.choice { "euler", "heun", "ddim", "ddpm", "dpmpp_2m", "unipc", "euler_ancestral",
                             "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde", "lcm", "res_multistep",
                             "deis", "ipndm", default = "euler", literal = true,
                             doc = "The update rule." },
    scheduler  = tb.choice { "flow", "flow_dpmpp", "flow_unipc", "flow_diffusers",
                             "flow_diffusers_euler", "ddpm_linear", "ddpm_cosine", "simple",
                             "normal", "sgm_uniform", "beta", "karras", "exponential",
                             "kl_optimal", "linear_quadratic", "ddim_uniform",
                             default = "flow", doc = "The noise levels." },
    levels_of  = tb.choice { "flow", "ddpm_linear", "ddpm_cosine", advanced = true, default = "flow",
                             doc = "What simple, normal, karras and those after it choose from." },
    shift      = tb.float { default = 0.0, min = 0, max = 100,
                            doc = "Moves flow schedules towards noise; 0 is the model's own." },
    seed       = tb.int { default = 0, min = 0, doc = "Fresh noise of samplers that draw it." },
    denoise    = tb.float { default = 1.0, min = 0.001, max = 1,
                            doc = "Share of the noise to start with; below 1 keeps some of the latent." },
    start_step = tb.int { default = 0, min = 0, max = 999, literal = true, doc = "First step to take." },
    end_step   = tb.int { default = 0, min = 0, max = 1000, literal = true,
                          doc = "Step to stop before; 0 takes all." },
    eta        = tb.float { advanced = true, default = -1.0, min = -1, max = 1,
                            doc = "Share of fresh noise; -1: 0 for ddim, 1 for ancestral and sde samplers." },
    variance   = tb.choice { "fixed_small", "fixed_large", advanced = true, default = "fixed_small",
                             doc = "Fresh noise of ddpm." },
    guidance   = tb.choice { "cfg", "cfg_zero_star", "apg", advanced = true, default = "cfg", literal = true,
                             doc = "How the prompt's answer and the negative one become one." },
    guidance_rescale = tb.float { advanced = true, default = 0.0, min = 0, max = 1,
                             doc = "Against too much contrast at a high cfg; 0.7 is usual, 0 off." },
    zero_init  = tb.int { advanced = true, default = 0, min = 0, max = 1000, literal = true, unit = "steps",
                          doc = "Leave the noise as it is in the first steps (CFG-Zero*: 1)." },
    apg_eta    = tb.float { advanced = true, default = 0.0, min = -10, max = 10,
                            doc = "apg: share that is kept of what makes colours strong; 1 all." },
    apg_norm   = tb.float { advanced = true, default = 0.0, min = 0, max = 1000000,
                            doc = "apg: longest difference that the prompt may make; 0 any." },
    apg_momentum = tb.float { advanced = true, default = -0.5, min = -1, max = 1,
                            doc = "apg: weight of the differences of the steps before." },
    slg_blocks = tb.string { advanced = true, default = "", literal = true,
                             doc = "Skip-layer guidance: blocks the negative pass leaves out, as 9,10." },
    slg_start  = tb.float { advanced = true, default = 0.0, min = 0, max = 1, literal = true,
                            doc = "Skip-layer guidance: from this share of the steps on." },
    slg_end    = tb.float { advanced = true, default = 1.0, min = 0, max = 1, literal = true,
                            doc = "Skip-layer guidance: before this share of the steps." },
    cache      = tb.float { advanced = true, default = 0.0, min = 0, max = 10, literal = true,
                            doc = "Step caching: reuse the model's answer while its estimated relative L1 "
                                  .. "change is below this; 0 off." },
    cache_start = tb.float { advanced = true, default = 0.15, min = 0, max = 1, literal = true,
                             doc = "Step caching: from this share of the steps on." },
    cache_end  = tb.float { advanced = true, default = 0.95, min = 0, max = 1, literal = true,
                            doc = "Step caching: before this share of the steps." },
    cache_residual = tb.choice { "none", "state", advanced = true, default = "none",
                             doc = "Step caching: what is added to a reused answer; state: how far the "
                                   .. "latent moved, as EasyCache." },
  }
end

-- What a patched model brings goes before what is set here.
local function with_patches(inp)
  local all = {}
  for name, value in pairs(inp) do
    all[name] = value
  end
  for name, value in pairs(patched.settings(inp.model)) do
    all[name] = value
  end
  return all
end

local function expand(inp, evaluate)
  inp = with_patches(inp)
  local stop = inp.end_step > 0 and inp.end_step or inp.steps
  if stop > inp.steps then
    error(("end_step must be at most steps, %d, got %d"):format(inp.steps, inp.end_step), 0)
  end
  if inp.start_step >= stop then
    error(("start_step must be below the last step, %d, got %d"):format(stop, inp.start_step), 0)
  end
  local sigmas = tb.schedule { id = "sigmas", model = inp.model, scheduler = inp.scheduler,
                               levels_of = inp.levels_of,
                               steps = inp.steps, shift = inp.shift, denoise = inp.denoise }
  local latent = tb.add_noise { id = "start", latent = inp.latent, sigmas = sigmas,
                                conditioning = inp.positive, step = inp.start_step }
  return unroll(inp, sigmas, latent, inp.start_step, stop, inp.steps, evaluate)
end

tb.composite {
  name = "sample",
  title = "Sample",
  category = "sampling",
  doc = "Denoises a latent in steps that are stored and can be branched from.",
  example = [[
local m = tb.load_model {}
return tb.sample {
  model = m.model,
  latent = tb.noise_init { model = m.model, size = "32x32", frames = 1 },
  positive = tb.text_encode { clip = m.clip, text = "a red ball" },
  negative = tb.text_encode { clip = m.clip, text = "" },
  steps = 2,
}]],
  inputs = inputs(),
  outputs = { latent = tb.port("LATENT", { doc = "The denoised latent." }) },

  expand = function(_, inp)
    return expand(inp)
  end,
}

return { unroll = unroll, inputs = inputs, expand = expand, velocity = velocity }
