-- comfy_values.lua - ComfyUI's nodes for plain values (see comfy.lua).

local tb = require "tubelet"

-- name, title, output, declaration, value of the example
local primitives = {
  { "PrimitiveInt", "Int", "INT", tb.int { default = 0, seed = true, doc = "The number." }, "7" },
  { "PrimitiveFloat", "Float", "FLOAT", tb.float { default = 0.0, doc = "The number." }, "0.5" },
  { "PrimitiveString", "String", "STRING", tb.string { default = "", doc = "The text." }, '"a"' },
  { "PrimitiveStringMultiline", "String (Multiline)", "STRING",
    tb.string { default = "", multiline = true, doc = "The text." }, '"a"' },
  { "PrimitiveBoolean", "Boolean", "BOOLEAN", tb.bool { default = false, doc = "Yes or no." }, "true" },
}

for _, p in ipairs(primitives) do
  tb.composite {
    name = p[1],
    title = p[2],
    category = "comfyui/values",
    doc = "A value, to be linked to several inputs.",
    example = ("return tb.%s { value = %s }"):format(p[1], p[5]),
    inputs = { value = p[4] },
    outputs = { [p[3]] = p[3] },
    expand = function(_, inp)
      return inp.value
    end,
  }
end

tb.composite {
  name = "ComfySwitchNode",
  title = "Switch",
  category = "comfyui/values",
  doc = "Passes one of two values on; what leads to the other is not computed.",
  example = [[
return tb.ComfySwitchNode { switch = true, on_false = 1, on_true = 2 }]],
  inputs = {
    switch   = tb.bool { default = false, literal = true, doc = "Which one." },
    on_false = tb.port("*", { optional = true, lazy = true, doc = "The value when switch is false." }),
    on_true  = tb.port("*", { optional = true, lazy = true, doc = "The value when switch is true." }),
  },
  outputs = { output = tb.port("*") },
  expand = function(_, inp)
    local name = inp.switch and "on_true" or "on_false"
    if inp[name] == nil then
      error(("switch is %s, but %s is not connected"):format(tostring(inp.switch), name), 0)
    end
    return inp[name]
  end,
}
