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
--   sample.velocity(settings, sigmas, latent, step, stage, suffix)

local tb = require "tubelet"

-- Samplers that ask the model twice in a step, and where the second time: at the next level, half way.
local second = { heun = 1, dpmpp_sde = 2 }

-- The velocity at `latent`; `suffix` tells the second stage of a step from the first.
local function velocity(inp, sigmas, latent, step, stage, suffix)
  local cond = tb.dit_step { id = "cond" .. suffix, model = inp.model, latent = latent,
                             conditioning = inp.positive, sigmas = sigmas, step = step, stage = stage }
  if inp.cfg == 1 or not inp.negative then
    return cond
  end
  local uncond = tb.dit_step { id = "uncond" .. suffix, model = inp.model, latent = latent,
                               conditioning = inp.negative, known = inp.positive,
                               sigmas = sigmas, step = step, stage = stage }
  return tb.guidance { id = "guidance" .. suffix, cond = cond, uncond = uncond, cfg = inp.cfg }
end

-- One call of the sampler; fields left nil keep their defaults.
local function advance(inp, sigmas, id, latent, v, previous, step, stage)
  return tb.sampler_step { id = id, sampler = inp.sampler, latent = latent, velocity = v,
                           previous = previous, sigmas = sigmas, step = step, stage = stage,
                           conditioning = inp.positive, seed = inp.seed, eta = inp.eta,
                           variance = inp.variance }
end

-- The state after a step. The last one, into a sigma of 0, has no second evaluation.
local function one_step(inp, evaluate, sigmas, latent, step, last)
  local v = evaluate(inp, sigmas, latent, step, 0, "")
  local stage = not last and second[inp.sampler]
  if not stage then
    return advance(inp, sigmas, "step", latent, v, nil, step, 0)
  end
  local mid = advance(inp, sigmas, "mid", latent, v, nil, step, 0)
  local v2 = evaluate(inp, sigmas, mid, step, stage, "_2")
  return advance(inp, sigmas, "step", mid, v2, latent, step, stage)
end

-- Steps first .. stop-1 of a schedule of `steps` from a latent that is at the first one's level.
-- settings: model, positive, negative, cfg, sampler, and seed, eta, variance if any. `evaluate`
-- stands in for `velocity`.
local function unroll(settings, sigmas, latent, first, stop, steps, evaluate)
  evaluate = evaluate or velocity
  local name = "step_%0" .. math.max(2, #tostring(steps - 1)) .. "d"
  for step = first, stop - 1 do
    tb.scope(name:format(step), function()
      latent = one_step(settings, evaluate, sigmas, latent, step, step == steps - 1)
    end)
  end
  return latent
end

local function inputs()
  return {
    model      = tb.port("MODEL", { doc = "The diffusion transformer." }),
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
    levels_of  = tb.choice { "flow", "ddpm_linear", "ddpm_cosine", default = "flow",
                             doc = "What simple, normal, karras and those after it choose from." },
    shift      = tb.float { default = 0.0, min = 0, max = 100,
                            doc = "Moves flow schedules towards noise; 0 is the model's own." },
    seed       = tb.int { default = 0, min = 0, doc = "Fresh noise of samplers that draw it." },
    denoise    = tb.float { default = 1.0, min = 0.001, max = 1,
                            doc = "Share of the noise to start with; below 1 keeps some of the latent." },
    start_step = tb.int { default = 0, min = 0, max = 999, literal = true, doc = "First step to take." },
    end_step   = tb.int { default = 0, min = 0, max = 1000, literal = true,
                          doc = "Step to stop before; 0 takes all." },
    eta        = tb.float { default = -1.0, min = -1, max = 1,
                            doc = "Share of fresh noise; -1: 0 for ddim, 1 for ancestral and sde samplers." },
    variance   = tb.choice { "fixed_small", "fixed_large", default = "fixed_small",
                             doc = "Fresh noise of ddpm." },
  }
end

local function expand(inp, evaluate)
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
