-- custom_node.lua - two node types in Lua: one that computes, one that is made of other nodes.
--
--   tubelet run examples/custom_node.lua --strength 0.3 --out soft.mp4
--
-- contrast is a node: it gets whole tensors and gives new ones; its results are stored like any other.
-- text_to_frames is a composite: it turns into the nodes it makes before anything runs.

local tb = require "tubelet"

tb.node {
  name = "contrast",
  doc = "Moves every value of a picture away from the mean, or towards it.",
  inputs = {
    image    = tb.port("IMAGE", { doc = "The pictures." }),
    strength = tb.float { default = 1.0, min = 0, max = 4, doc = "1 changes nothing, 0 gives grey." },
  },
  outputs = { image = "IMAGE" },
  run = function(_, inp)
    local mean = inp.image:mean()
    return ((inp.image - mean) * inp.strength + mean):clamp(0, 1)
  end,
}

tb.composite {
  name = "text_to_frames",
  doc = "Frames of a prompt with the bundled model.",
  inputs = {
    prompt = tb.string { doc = "What to show." },
    steps  = tb.int { default = 8, min = 1, max = 1000, literal = true },
  },
  outputs = { image = "IMAGE" },
  expand = function(_, inp)
    local m = tb.load_model {}
    local z = tb.sample { model = m.model, steps = inp.steps, cfg = 1.0,
                          latent = tb.noise_init { model = m.model },
                          positive = tb.text_encode { clip = m.clip, text = inp.prompt } }
    return tb.vae_decode { vae = m.vae, latent = z }
  end,
}

return tb.graph {
  doc = "A video with a contrast of its own.",
  params = {
    prompt   = tb.string { default = "a small blue cube spins on the sand at sunset" },
    strength = tb.float { default = 0.5, min = 0, max = 4 },
    out      = tb.path { default = "out.mp4" },
  },
  build = function(p)
    local frames = tb.text_to_frames { prompt = p.prompt }
    return tb.mux { video = tb.contrast { image = frames, strength = p.strength }, path = p.out }
  end,
}
