-- windows.lua - videos longer than the model was trained for, and loops, in one denoising run.
--
-- In every step the model sees windows of latent frames. Their velocities are laid over each other,
-- one fading into the next where they overlap, and one sampler step moves the whole latent:
-- MultiDiffusion (Bar-Tal et al. 2023) along time, as Gen-L-Video (Wang et al. 2023) has it. With
-- several conditionings each window takes the one whose part of the video it lies in.
--
-- Each window is guided by itself; adaptive projected guidance goes without its momentum there.
--
-- A ring has no first frame: windows run over its end, and go on by a part of the ring in each step,
-- so that every place is once inside a window (Mobius, Bi et al. 2025).

local tb = require "tubelet"
local sample = require "sample"

local GOLDEN = 0.6180339887498949 -- the share of a ring by which windows go on: no place comes back

local inputs = sample.inputs()
inputs.length  = tb.int { default = 5, min = 1, max = 100000, literal = true, unit = "latent frames",
                          doc = "Of the whole latent: (frames - 1) / 4 + 1." }
inputs.window  = tb.int { default = 5, min = 1, max = 100000, literal = true, unit = "latent frames",
                          doc = "What the model sees at once; best the length it was trained with." }
inputs.overlap = tb.int { default = 2, min = 0, max = 99999, literal = true, unit = "latent frames",
                          doc = "Common to neighbouring windows, at least." }
inputs.ring    = tb.bool { default = false, literal = true,
                           doc = "The last frame runs into the first one: a loop." }

-- Where windows begin that cover `length` frames with at least `overlap` common to neighbours.
local function starts(length, window, overlap)
  local count = math.max(1, math.ceil((length - overlap) / (window - overlap)))
  local list = {}
  for i = 0, count - 1 do
    list[i + 1] = count == 1 and 0 or math.floor(i * (length - window) / (count - 1) + 0.5)
  end
  return list
end

local function ring_starts(length, window, overlap, step)
  local count = window == length and 1 or math.ceil(length / (window - overlap))
  local list = {}
  for i = 0, count - 1 do
    list[i + 1] = math.floor(i * length / count + 0.5) + math.floor(step * GOLDEN * length) % length
  end
  return list
end

-- Windows of a step: start, and over how many frames each fades in and out.
local function layout(inp, step)
  local window = math.min(inp.window, inp.length)
  local at = inp.ring and ring_starts(inp.length, window, inp.overlap, step)
             or starts(inp.length, window, inp.overlap)
  local list = {}
  for i, start in ipairs(at) do
    list[i] = { start = start, count = window, fade_in = i > 1 and at[i - 1] + window - start or 0,
                fade_out = inp.ring and i > 1 and i == #at and start + window - at[1] - inp.length or 0 }
  end
  return list
end

-- `positive`, then those that are not declared, in the order of their names.
local function conditionings(inp)
  local names, list = {}, { inp.positive }
  for name in pairs(inp) do
    names[#names + 1] = not inputs[name] and name or nil
  end
  table.sort(names)
  for _, name in ipairs(names) do
    list[#list + 1] = inp[name]
  end
  return list
end

local function window_velocity(inp, w, positive, sigmas, latent, step, stage, steps)
  local part = tb.latent_window { id = "latent", latent = latent, start = w.start, count = w.count,
                                  length = inp.length }
  local known = tb.condition_window { id = "known", conditioning = positive, start = w.start,
                                      count = w.count }
  local v = sample.velocity({ model = inp.model, positive = known, negative = inp.negative,
                              cfg = inp.cfg, guidance = inp.guidance,
                              guidance_rescale = inp.guidance_rescale, zero_init = inp.zero_init,
                              apg_eta = inp.apg_eta, apg_norm = inp.apg_norm, apg_momentum = 0,
                              slg_blocks = inp.slg_blocks, slg_start = inp.slg_start,
                              slg_end = inp.slg_end }, sigmas, part, step, stage, "", steps)
  return v
end

-- The velocity of the whole latent, window by window.
local function velocity(inp, sigmas, latent, step, stage, suffix, steps)
  local texts, whole = conditionings(inp)
  for i, w in ipairs(layout(inp, step)) do
    tb.scope(("window_%02d%s"):format(i, suffix), function()
      local middle = (w.start + w.count / 2) / inp.length % 1
      local v = window_velocity(inp, w, texts[math.floor(middle * #texts) + 1], sigmas, latent,
                                step, stage, steps)
      whole = tb.velocity_window { id = "blend", latent = latent, velocity = whole, window = v,
                                   start = w.start, fade_in = w.fade_in, fade_out = w.fade_out }
    end)
  end
  return whole
end

tb.composite {
  name = "sample_windows",
  title = "Sample in windows",
  category = "sampling",
  doc = "Denoises a latent that is longer than the model's window, or a loop, in stored steps.",
  example = [[
local m = tb.load_model {}
return tb.sample_windows {
  model = m.model,
  latent = tb.noise_init { model = m.model, size = "32x32", frames = 9 },
  positive = tb.text_encode { clip = m.clip, text = "a red ball" },
  length = 3, window = 2, overlap = 1, steps = 2,
}]],
  inputs = inputs,
  rest = "CONDITIONING",
  outputs = { latent = tb.port("LATENT", { doc = "The denoised latent." }) },

  expand = function(_, inp)
    if inp.overlap >= inp.window then
      error(("overlap must be below the window's %d latent frames, got %d"):format(inp.window, inp.overlap), 0)
    end
    if inp.cache > 0 then
      error("cache is not for windows, which move on the latent; set it to 0", 0)
    end
    if type(inp.model) == "table" then
      error("model must come without patches (RescaleCFG, APG, EasyCache, ...); bypass them", 0)
    end
    return sample.expand(inp, velocity)
  end,
}
