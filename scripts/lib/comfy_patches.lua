-- comfy_patches.lua - ComfyUI's model patches: what changes guidance, and step caching (see comfy.lua).
--
-- Ranges in percent count steps here, where ComfyUI compares noise levels: with the schedulers simple
-- and normal that is the same.

local tb = require "tubelet"
local patched = require "patched"

local example = [[
return tb.%s { model = tb.UNETLoader { unet_name = "tubelet-tiny" }%s }]]

-- In the order of their declarations behind the model; settings(inp) gives those of sample.unroll.
local function patch(def)
  local inputs = def.inputs(patched.port())
  tb.composite {
    name = def.name,
    title = def.title or def.name,
    category = "comfyui/model",
    doc = def.doc,
    example = example:format(def.name, def.example or ""),
    inputs = inputs,
    outputs = { [def.output or "MODEL"] = tb.port("MODEL") },
    expand = function(_, inp)
      local settings = def.settings(inp)
      return settings and patched.with(inp.model, def.kind, settings) or inp.model
    end,
  }
end

local function share(default, doc)
  return tb.float { default = default, min = 0, max = 1, literal = true, doc = doc }
end

-- "7, 8, 9" or any text with numbers
local function blocks(text)
  local list = {}
  for number in text:gmatch("%d+") do
    list[#list + 1] = number
  end
  return table.concat(list, ",")
end

local function layers(doc)
  return tb.string { default = "7, 8, 9", literal = true, doc = doc }
end

patch {
  name = "RescaleCFG",
  doc = "Takes the guided answer back to the deviation of the prompt's, against too much contrast.",
  example = ", multiplier = 0.7",
  kind = "guidance_rescale",
  inputs = function(model)
    return { model = model,
             multiplier = tb.float { default = 0.7, min = 0, max = 1, doc = "How far; 0: not at all." } }
  end,
  settings = function(inp)
    return { guidance_rescale = inp.multiplier }
  end,
}

patch {
  name = "CFGZeroStar",
  doc = "Scales the negative answer to fit the other one best (CFG-Zero*).",
  output = "patched_model",
  kind = "guidance",
  inputs = function(model)
    return { model = model }
  end,
  settings = function()
    return { guidance = "cfg_zero_star" }
  end,
}

patch {
  name = "APG",
  title = "Adaptive Projected Guidance",
  doc = "High guidance without too much colour.",
  example = ", eta = 0.5",
  kind = "guidance",
  inputs = function(model)
    return {
      model          = model,
      eta            = tb.float { default = 1.0, min = -10, max = 10,
                                  doc = "Share that is kept of what makes colours strong." },
      norm_threshold = tb.float { default = 5.0, min = 0, max = 50,
                                  doc = "Longest difference that the prompt may make in a channel; 0 any." },
      momentum       = tb.float { default = 0.0, min = -5, max = 1,
                                  doc = "Weight of the differences of the steps before." },
    }
  end,
  settings = function(inp)
    return { guidance = "apg", apg_eta = inp.eta, apg_norm = inp.norm_threshold,
             apg_momentum = inp.momentum, apg_channels = true }
  end,
}

patch {
  name = "SkipLayerGuidanceDiT",
  doc = "Moves the answer away from that of the model without some of its blocks.",
  example = [[, double_layers = "1"]],
  kind = "slg_blocks",
  inputs = function(model)
    return {
      model           = model,
      double_layers   = layers("Blocks to leave out."),
      single_layers   = layers("Without effect: Wan's models have none of that kind."),
      scale           = tb.float { default = 3.0, min = 0, max = 10, literal = true, doc = "How strongly; 0: off." },
      start_percent   = share(0.01, "From this share of the steps on."),
      end_percent     = share(0.15, "Before this share of the steps."),
      rescaling_scale = tb.float { default = 0.0, min = 0, max = 1,
                                   doc = "How far the answer's deviation goes back to the prompt's." },
    }
  end,
  settings = function(inp)
    local skip = blocks(inp.double_layers)
    return skip ~= "" and inp.scale > 0 and {
      slg_blocks = skip, slg_scale = inp.scale, slg_start = inp.start_percent,
      slg_end = inp.end_percent, slg_rescale = inp.rescaling_scale,
    }
  end,
}

patch {
  name = "SkipLayerGuidanceDiTSimple",
  doc = "Leaves blocks of the model out in the negative pass.",
  example = [[, double_layers = "1"]],
  kind = "slg_blocks",
  inputs = function(model)
    return {
      model         = model,
      double_layers = layers("Blocks to leave out."),
      single_layers = layers("Without effect: Wan's models have none of that kind."),
      start_percent = share(0.0, "From this share of the steps on."),
      end_percent   = share(1.0, "Before this share of the steps."),
    }
  end,
  settings = function(inp)
    local skip = blocks(inp.double_layers)
    return skip ~= "" and { slg_blocks = skip, slg_start = inp.start_percent, slg_end = inp.end_percent }
  end,
}

patch {
  name = "EasyCache",
  doc = "Reuses the model's answer while it is expected to change little.",
  example = ", reuse_threshold = 0.2",
  kind = "cache",
  inputs = function(model)
    return {
      model           = model,
      reuse_threshold = tb.float { default = 0.2, min = 0, max = 3, literal = true,
                                   doc = "Largest change to be passed over; 0: none." },
      start_percent   = share(0.15, "From this share of the steps on."),
      end_percent     = share(0.95, "Before this share of the steps."),
      verbose         = tb.bool { default = false, doc = "Without effect." },
    }
  end,
  settings = function(inp)
    return { cache = inp.reuse_threshold, cache_start = inp.start_percent, cache_end = inp.end_percent,
             cache_residual = "state" }
  end,
}
