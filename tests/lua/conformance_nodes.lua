-- conformance_nodes.lua - the nodes that tests/conformance.test.js drives a server with:
--     tubelet serve --nodes tests/lua/conformance_nodes.lua

local tb = require "tubelet"

local image = tb.port "IMAGE"
local function lazy(type) return tb.port(type, { lazy = true }) end
local function any(options) return tb.port("*", options) end

-- values

tb.node { name = "t_picture", -- a picture of one value
          inputs = { value = tb.float { default = 0, min = 0, max = 1.5 }, size = tb.int { default = 4, min = 1, max = 64 } },
          outputs = { image = image },
          run = function(_, inp) return tb.tensor.zeros { 1, inp.size, inp.size, 3 } + inp.value end }
tb.node { name = "t_int", inputs = { value = tb.int { default = 0, min = -5, max = 100, seed = true } }, outputs = { value = "INT" },
          run = function(_, inp) return inp.value end }
tb.node { name = "t_float", inputs = { value = tb.float { default = 0, min = -10, max = 10 } }, outputs = { value = "FLOAT" },
          run = function(_, inp) return inp.value end }
tb.node { name = "t_seed", inputs = { seed = tb.int { default = 0, seed = true } }, outputs = { value = "INT" },
          run = function(_, inp) return inp.seed end }
tb.node { name = "t_bool", inputs = { value = tb.bool { default = false } }, outputs = { value = "BOOLEAN" },
          run = function(_, inp) return inp.value end }
tb.node { name = "t_colour",
          inputs = { colour = tb.choice { "WHITE", "BLACK" }, text = tb.string { default = "" } }, outputs = { text = "STRING" },
          run = function(_, inp) return inp.colour .. inp.text end }
tb.node { name = "t_literal", inputs = { v = any() }, outputs = { v = "*" }, run = function(_, inp) return inp.v end }
tb.node { name = "t_add", inputs = { a = any(), b = any() }, outputs = { sum = "*" },
          run = function(_, inp) return inp.a + inp.b end }

tb.node { name = "t_over", inputs = { a = any() }, outputs = { v = "FLOAT" }, run = function(_, inp) return inp.a / inp.a end }

-- what a value is, as text under the node: kind and number, lists in brackets
local function show(v)
  if type(v) ~= "table" then return math.type(v) and ("%s %s"):format(math.type(v), v) or tostring(v) end
  local parts = {}
  for i, e in ipairs(v) do parts[i] = show(e) end
  return "[" .. table.concat(parts, ", ") .. "]"
end
tb.node { name = "t_show", inputs = { v = any() }, outputs = { text = "STRING" }, target = true,
          run = function(_, inp) return show(inp.v) end }
tb.node { name = "t_mean", inputs = { image = image }, outputs = { text = "STRING" }, target = true,
          run = function(_, inp) return ("%.2f"):format(inp.image:mean()) end }
tb.node { name = "t_end", inputs = { v = any() }, outputs = {}, target = true, run = function() end }

-- lazy

tb.node { name = "t_mix", inputs = { a = lazy "*", b = lazy "*", share = tb.float { default = 0.5, min = 0, max = 1 } },
          outputs = { v = "*" },
          need = function(_, inp)
            local names = {}
            if inp.share < 1 then names[#names + 1] = "a" end
            if inp.share > 0 then names[#names + 1] = "b" end
            return names
          end,
          run = function(_, inp)
            if inp.share == 0 then return inp.a end
            if inp.share == 1 then return inp.b end
            return inp.a * (1 - inp.share) + inp.b * inp.share
          end }
tb.node { name = "t_switch", -- asks for one after the other: `b` only where `a` is 0
          inputs = { a = lazy "INT", b = lazy "INT" }, outputs = { value = "INT" },
          need = function(_, inp)
            if inp.a == nil then return "a" end
            return inp.a == 0 and "b" or nil
          end,
          run = function(_, inp) return inp.a ~= 0 and inp.a or inp.b end }

-- errors and checks

tb.node { name = "t_fail", inputs = { v = any { optional = true }, message = tb.string { default = "broken on purpose" } },
          outputs = { v = "*" }, run = function(_, inp) error(inp.message, 0) end }
tb.node { name = "t_real", -- takes numbers that are not integers
          inputs = { v = tb.port "IMAGE,FLOAT", w = tb.port("IMAGE,FLOAT", { optional = true }) }, outputs = { v = "*" },
          validate = function(_, inp)
            if inp.v ~= nil and math.type(inp.v) ~= "float" then return "v must be a real number", "v" end
            return inp.w == nil or math.type(inp.w) == "float"
          end,
          run = function(_, inp) return inp.v end }
tb.node { name = "t_slow", inputs = { v = any() }, outputs = { v = "*" },
          run = function(_, inp)
            local x = tb.tensor.zeros { 256, 256 }
            for _ = 1, 200000 do x = x + 1 end
            return inp.v
          end }

-- lists

tb.node { name = "t_range", inputs = { first = tb.int { default = 1 }, count = tb.int { default = 3 } },
          outputs = { values = tb.port("INT", { list = true }) },
          run = function(_, inp)
            local values = {}
            for i = 1, inp.count do values[i] = inp.first + i - 1 end
            return values
          end }
tb.node { name = "t_gather", inputs = { values = any { list = true }, times = tb.int { default = 1, list = true } },
          outputs = { text = "STRING" }, target = true,
          run = function(_, inp) return show(inp.values) .. " x" .. show(inp.times) end }

-- when to run

tb.node { name = "t_always", inputs = { v = tb.int { default = 0 } }, outputs = { v = "INT" }, impure = true,
          run = function(_, inp) return inp.v end }
tb.node { name = "t_nan", inputs = { v = tb.int { default = 0 } }, outputs = { v = "INT" },
          changed = function() return 0 / 0 end, run = function(_, inp) return inp.v end }
tb.node { name = "t_declared", -- `note` counts only as far as it is even or odd
          inputs = { note = tb.int { default = 0 } }, outputs = { v = "INT" },
          changed = function(_, inp) return inp.note % 2 end, run = function(_, inp) return inp.note end }

-- more inputs than are declared

tb.node { name = "t_total", inputs = { first = tb.port "FLOAT" }, rest = "FLOAT", outputs = { v = "FLOAT" },
          run = function(_, inp)
            local sum = 0.0
            for _, v in pairs(inp) do sum = sum + v end
            return sum
          end }

-- expansion

tb.composite { name = "t_expand", -- n nodes in a chain, made when n is known: v + n
               inputs = { v = any(), n = tb.int { default = 1, literal = true } }, outputs = { v = "*" },
               expand = function(_, inp)
                 local v = inp.v
                 for i = 1, inp.n do v = tb.t_add { a = v, b = tb.t_literal { v = 1, id = "one_" .. i }, id = "add_" .. i } end
                 return v
               end }
tb.composite { name = "t_parts", -- a link to outside, a value, a node of its own
               inputs = { v = any(), n = tb.int { literal = true } },
               outputs = { same = tb.port "*", text = tb.port "STRING", made = tb.port "*" },
               expand = function(_, inp) return inp.v, "n is " .. inp.n, tb.t_add { a = inp.v, b = inp.v } end }
tb.composite { name = "t_while", -- as long as n is above 0; every turn is known only when the last one has run
               inputs = { v = any(), n = tb.int { literal = true } }, outputs = { v = "*" },
               expand = function(_, inp)
                 if inp.n <= 0 then return inp.v end
                 local less = tb.t_add { a = inp.n, b = -1, id = "n" }
                 return tb.t_while { v = tb.t_add { a = inp.v, b = 10, id = "v" }, n = less, id = "w" }
               end }
tb.composite { name = "t_bad_part", inputs = { n = tb.int { literal = true } }, outputs = { v = "*" },
               expand = function(_, inp) return tb.t_fail { message = "inside " .. inp.n } end }
tb.composite { name = "t_bad_input", inputs = { n = tb.int { literal = true } }, outputs = { v = "*" },
               expand = function() return tb.t_int { value = 1000 } end }

-- blocked outputs, and what is made of lists

tb.node { name = "t_block", inputs = { v = any(), block = tb.bool { default = false }, why = tb.string { default = "" } },
          outputs = { v = "*" },
          run = function(_, inp)
            if not inp.block then return inp.v end
            return tb.blocked(inp.why ~= "" and inp.why or nil)
          end }
tb.node { name = "t_is", inputs = { a = tb.int { default = 0 }, b = tb.int { default = 0 } }, outputs = { same = "BOOLEAN" },
          run = function(_, inp) return inp.a == inp.b end }
tb.composite { name = "t_grow", -- a value n times larger; of 0 it gives the value itself, of 1 a number, else a node
               inputs = { v = any(), n = tb.int { literal = true } }, outputs = { v = "*" },
               expand = function(_, inp)
                 if inp.n == 0 then return inp.v end
                 if inp.n == 1 then return 1 end
                 return tb.t_grow { v = tb.t_add { a = inp.v, b = inp.v, id = "twice" }, n = inp.n - 2, id = "more" }
               end }
tb.node { name = "t_seeded", inputs = { seed = tb.int { default = 0, min = 0, seed = true } }, outputs = { seed = "INT" },
          run = function(_, inp) return inp.seed end }
tb.node { name = "t_say", inputs = { text = tb.string { default = "" } }, outputs = { text = "STRING" },
          run = function(_, inp)
            print(inp.text)
            return inp.text
          end }
