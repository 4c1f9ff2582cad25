local tb = require "tubelet"
local helper = require "helper"

tb.node { name = "t_source", inputs = { seed = tb.int { default = 0, min = 0 } },
          outputs = { latent = "LATENT" },
          run = function(_, inp) return { seed = inp.seed } end }
tb.node { name = "t_pair", inputs = { path = tb.string { default = "" } },
          outputs = { model = tb.port "MODEL", clip = tb.port "CLIP" },
          run = function() return {}, {} end }
tb.node { name = "t_sink", target = true,
          inputs = { latent = tb.port "LATENT", model = tb.port("MODEL", { optional = true }),
                     gain = tb.float { default = 1 }, list = tb.port("*", { optional = true }) },
          outputs = {}, run = function() end }
tb.composite { name = "t_chain", inputs = { latent = tb.port "LATENT", n = tb.int { default = 2, literal = true },
                                            gain = tb.float { default = 1 } },
               outputs = { latent = tb.port "LATENT", gain = tb.port "FLOAT" },
               expand = function(b, inp)
                 local x = inp.latent
                 for i = 1, inp.n do
                   b.scope(("part_%d"):format(i), function()
                     x = helper.step(b, x)
                   end)
                 end
                 return x, inp.gain
               end }
tb.node { name = "t_step", inputs = { latent = "LATENT" }, outputs = { latent = "LATENT" },
          run = function(_, inp) return inp.latent end }

return tb.graph {
  doc = "A graph for tests.",
  params = {
    prompt = tb.string { default = "a ball", doc = "What to show." },
    seed   = tb.int    { default = 1, min = 0 },
    steps  = tb.int    { default = 20, min = 1, max = 1000 },
    cfg    = tb.float  { default = 4, min = 0, max = 30 },
    mode   = tb.choice { "fast", "slow", default = "fast" },
    loud   = tb.bool   { default = false },
    out    = tb.path   { default = "out.mp4" },
    model  = tb.path   { optional = true },
  },
  build = function(p)
    local m = tb.t_pair { path = p.model }
    local x = tb.t_source { seed = p.seed, title = "noise" }
    local y = tb.t_source { seed = p.seed + 1 }
    local c = tb.t_chain { latent = x, n = p.steps, gain = p.cfg }
    return tb.t_sink { latent = c.latent, model = m.model, gain = 5, list = { 1, 2.5, "x" } },
           tb.t_sink { id = "second", latent = y, model = m[1], gain = 5.0 }
  end,
}
