local tb = require "tubelet"

local any = function(options) return tb.port("*", options or { optional = true }) end

tb.node { name = "arithmetic", inputs = { latent = tb.port "LATENT", gain = tb.float { default = 2.0 } },
          outputs = { latent = tb.port "LATENT", mean = tb.port "FLOAT" },
          run = function(ctx, inp)
            local x = inp.latent.samples
            assert(ctx.type == "arithmetic" and tostring(x) == "tensor [2,3]")
            local y = (x + x) * inp.gain - 1
            return { samples = y, seed = inp.latent.seed, state = "partial" }, y:mean()
          end }
tb.node { name = "shapes", inputs = { t = any() },
          outputs = { cut = tb.port "TENSOR", joined = tb.port "TENSOR", text = tb.port "STRING" },
          run = function(_, inp)
            local t = inp.t
            local cut = t:slice(2, 2, 3)
            local joined = t:concat(cut, 2)
            local s = joined:shape()
            local text = ("%dx%d min %g max %g std %.4f"):format(s[1], s[2], t:min(), t:max(), t:std())
            return { cut = cut, joined = joined:reshape { 10 }, text = text }
          end }
tb.node { name = "echo", inputs = { v = any() }, outputs = { v = "*" },
          run = function(_, inp) return inp.v end }
tb.node { name = "wrong", inputs = { v = any() }, outputs = { v = "*" },
          run = function(_, inp)
            return inp.v + tb.tensor.zeros { 7 }
          end }
tb.node { name = "few", inputs = {}, outputs = { a = tb.port "*", b = tb.port "*" },
          run = function() return 1 end }
tb.node { name = "forever", inputs = {}, outputs = { v = "*" },
          run = function()
            while true do
              tb.tensor.zeros { 1024, 1024 }
            end
          end }
tb.node { name = "function_out", inputs = {}, outputs = { v = "*" }, run = function() return print end }
tb.node { name = "asker", inputs = { a = tb.port("*", { lazy = true }), b = tb.int { default = 0 } }, outputs = { v = "*" },
          need = function(_, inp) return inp.a == nil and (inp.b == 0 and "a" or { "b" }) or nil end,
          changed = function(_, inp) return inp.b < 0 and 0 / 0 or { inp.b % 2, "x" } end,
          validate = function(_, inp)
            if inp.b == 1 then return "b is 1", "b" end
            return inp.b ~= 2
          end,
          run = function(_, inp) return inp.a end }

return tb.graph { build = function() return tb.echo { v = tb.few {}.a } end }
