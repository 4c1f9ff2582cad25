/* test_nodes_tools.c - the image, latent, text and number nodes: what they give, and for each input
 * the sentence that a wrong value earns.
 */
#include "node_run.h"

static void check_number(const char *inputs, tb_kind kind, double want)
{
    outcome o = right("math_number", inputs);
    CHECK_INT(tb_value_kind(first(&o, 0)), kind);
    CHECK_NEAR(tb_value_as_float(first(&o, 0)), want, 1e-12);
    outcome_clear(&o);
}

TEST(math_number_keeps_integers)
{
    check_number("'a':2,'b':3", TB_INT, 5);
    check_number("'a':2,'b':3.0", TB_FLOAT, 5);
    check_number("'a':2,'b':3,'op':'subtract'", TB_INT, -1);
    check_number("'a':2,'b':3,'op':'multiply'", TB_INT, 6);
    check_number("'a':6,'b':3,'op':'divide'", TB_FLOAT, 2);
    check_number("'a':-7,'b':2,'op':'floor_divide'", TB_INT, -4);
    check_number("'a':-7,'b':2,'op':'modulo'", TB_INT, 1);
    check_number("'a':-7.5,'b':2,'op':'modulo'", TB_FLOAT, 0.5);
    check_number("'a':-9223372036854775807,'b':-1,'op':'modulo'", TB_INT, 0);
    check_number("'a':2,'b':10,'op':'power'", TB_FLOAT, 1024);
    check_number("'a':2,'b':10,'op':'min'", TB_INT, 2);
    check_number("'a':2,'b':10,'op':'max'", TB_INT, 10);
}

TEST(math_number_tells_what_is_wrong)
{
    wrong("math_number", "'a':'x','b':3", "a must be a number, got 'x'");
    wrong("math_number", "'a':1,'b':true", "b must be a number, got a boolean");
    wrong("math_number", "'a':1,'b':2,'op':'plus'",
          "op must be one of add|subtract|multiply|divide|floor_divide|modulo|power|min|max, got "
          "'plus'");
    wrong("math_number", "'a':1,'b':0,'op':'modulo'", "b must not be 0 for modulo");
    wrong("math_number", "'a':9223372036854775807,'b':1",
          "add of 9223372036854775807 and 1 does not fit into a 64-bit integer");
    wrong("math_number", "'a':10,'b':1000,'op':'power'",
          "power of 10 and 1000 has no finite result");
}

TEST(compare_answers)
{
    static const struct {
        const char *inputs;
        bool want;
    } cases[] = {
        { "'a':2,'b':3", false },
        { "'a':3,'b':3.0", true },
        { "'a':2,'b':3,'op':'<'", true },
        { "'a':'b','b':'a','op':'>'", true },
        { "'a':3,'b':3,'op':'<='", true },
        { "'a':2,'b':3,'op':'>='", false },
        { "'a':true,'b':false,'op':'!='", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        outcome o = right("compare", cases[i].inputs);
        CHECK_INT(tb_value_as_bool(first(&o, 0)), cases[i].want);
        outcome_clear(&o);
    }
    wrong("compare", "'a':1,'b':'x'",
          "a and b must be two numbers, two texts or two booleans, got a number and a text");
    wrong("compare", "'a':['flat',0],'b':1",
          "a and b must be two numbers, two texts or two booleans, got another kind of value and a "
          "number");
    wrong("compare", "'a':1,'b':1,'op':'='", "op must be one of ==|!=|<|<=|>|>=, got '='");
}

TEST(constants_pass_on)
{
    outcome o = right("constant_int", "'value':-5");
    CHECK_INT(tb_value_as_int(first(&o, 0)), -5);
    outcome_clear(&o);
    o = right("constant_float", "'value':2");
    CHECK_INT(tb_value_kind(first(&o, 0)), TB_FLOAT);
    outcome_clear(&o);
    o = right("constant_boolean", "'value':true");
    CHECK(tb_value_as_bool(first(&o, 0)));
    outcome_clear(&o);
    check_text("constant_string", "'value':'a ball'", "a ball");
    wrong("constant_int", "'value':1.5", "value must be an integer, got 1.5");
    wrong("constant_float", "'value':'much'", "value must be a number, got 'much'");
    wrong("constant_boolean", "'value':2", "value must be true or false, got 2");
    wrong("constant_string", "'value':true", "value must be a text, got true");
}

TEST(string_join_joins_lists)
{
    check_text("string_join", "'texts':{'__value__':['a','b',3,0.5]}", "a, b, 3, 0.5");
    check_text("string_join", "'texts':{'__value__':[]}", "");
    check_text("string_join", "'texts':{'__value__':['a','b']},'separator':''", "ab");
    wrong("string_join", "'texts':{'__value__':['a',true]}",
          "texts must be a list of texts and numbers, got a boolean in it");
    wrong("string_join", "'texts':['flat',0]",
          "texts must be a list of texts and numbers, got a tensor in it");
    wrong("string_join", "'texts':'a','separator':false", "separator must be a text, got false");
}

TEST(string_format_fills_places)
{
    check_text("string_format", "'template':'{a} in {b}','a':'a ball','b':'rain'",
               "a ball in rain");
    check_text("string_format", "'template':'{{{a:04}}} {b:.2} {c}','a':7,'b':0.125,'c':true",
               "{0007} 0.12 true");
    check_text("string_format", "'template':'{d:6.1}|','d':2.25", "   2.2|");
    wrong("string_format", "'a':1", "template (STRING) is missing; give it a value");
    wrong("string_format", "'template':'{x}'",
          "template must have {a}, {b}, {c} or {d} as places and {{ for a brace, got '{x}'");
    wrong("string_format", "'template':'{a:x}','a':1",
          "template must have {a}, {b}, {c} or {d} as places and {{ for a brace, got '{a:x}'");
    wrong("string_format", "'template':'a}'", "template has a } without a {; write }} for a brace");
    wrong("string_format", "'template':'{a}'", "template has a place {a}, but a is not connected");
    wrong("string_format", "'template':'{b}','b':['flat',0]",
          "b must be a text, a number or a boolean to stand in a text, got a tensor");
    wrong("string_format", "'template':'{c}','c':['record',0]",
          "c must be a text, a number or a boolean to stand in a text, got another kind of value");
    wrong("string_format", "'template':'{d}','d':['flat',0]",
          "d must be a text, a number or a boolean to stand in a text, got a tensor");
}

TEST(prompt_grid_gives_all_combinations)
{
    static const char *const want[] = { "a red ball.", "a red cube.", "a blue ball.",
                                        "a blue cube." };
    outcome o = right("prompt_grid", "'template':'a {red|blue} {ball|cube}.'");
    REQUIRE(tb_list_count(o.outputs[0]) == 4);
    for (int i = 0; i < 4; i++)
        CHECK_STR(tb_value_as_string(tb_list_at(o.outputs[0], i)), want[i]);
    outcome_clear(&o);
    o = right("prompt_grid", "'template':'{|very }big'");
    REQUIRE(tb_list_count(o.outputs[0]) == 2);
    CHECK_STR(tb_value_as_string(tb_list_at(o.outputs[0], 0)), "big");
    outcome_clear(&o);
    check_text("prompt_grid", "'template':'plain'", "plain");
    wrong("prompt_grid", "", "template (STRING) is missing; give it a value");
    wrong("prompt_grid", "'template':'a {red'",
          "template must close its braces; the { at character 3 is open");
    wrong("prompt_grid", "'template':'a {red|{b}}'",
          "template must not have braces inside braces, got a second { behind the one at character "
          "3");
    wrong("prompt_grid", "'template':'a }'", "template has a } without a { at character 3");
    wrong("prompt_grid",
          "'template':'{0|1|2|3|4|5|6|7|8|9}{0|1|2|3|4|5|6|7|8|9}{0|1|2|3|4|5|6|7|8|9}"
          "{0|1|2|3|4|5|6|7|8|9}{0|1}'",
          "template must give at most 10000 prompts, got 20000 or more");
}

TEST(switch_computes_one_side_only)
{
    outcome o = right("switch", "'condition':true,'on_true':['red',0],'on_false':['boom',0]");
    check_shape(first(&o, 0), NULL, "[2,32,48,3]");
    outcome_clear(&o);
    o = right("switch", "'condition':false,'on_true':['boom',0],'on_false':7");
    CHECK_INT(tb_value_as_int(first(&o, 0)), 7);
    outcome_clear(&o);
    wrong("switch", "'condition':'maybe'", "condition must be true or false, got 'maybe'");
    wrong("switch", "'condition':true,'on_false':1",
          "condition is true, but on_true is not connected");
    wrong("switch", "'condition':false,'on_true':1",
          "condition is false, but on_false is not connected");
}

#define LATENT_WANTED "must be LATENT with samples f32 [channels,frames,height,width], got "

TEST(latent_slice_takes_a_range)
{
    outcome o = right("latent_slice", "'latent':['latent',0],'start':1,'count':2");
    check_shape(first(&o, 0), "samples", "[2,2,4,4]");
    check_shape(first(&o, 0), "noise", "[2,2,4,4]");
    CHECK_NEAR(at(first(&o, 0), "samples", 0), 16, 0);
    CHECK_NEAR(at(first(&o, 0), "samples", 32), 48 + 16, 0);
    CHECK_NEAR(at(first(&o, 0), "noise", 0), 1016, 0);
    CHECK_STR(tb_value_as_string(tb_record_get(first(&o, 0), "state")), "clean");
    outcome_clear(&o);
    o = right("latent_slice", "'latent':['latent',0],'axis':'width','start':-1");
    check_shape(first(&o, 0), "samples", "[2,3,4,1]");
    CHECK_NEAR(at(first(&o, 0), "samples", 1), 7, 0);
    outcome_clear(&o);
    o = right("latent_slice", "'latent':['latent',0],'axis':'channels','start':1");
    CHECK_NEAR(at(first(&o, 0), "samples", 0), 48, 0);
    outcome_clear(&o);
    wrong("latent_slice", "'latent':['text',0]", "latent " LATENT_WANTED "a text");
    wrong("latent_slice", "'latent':['red',0]",
          "latent must be LATENT, got IMAGE from output 'image' of node 'red' (t_image)");
    wrong("latent_slice", "'latent':['latent',0],'axis':'depth'",
          "axis must be one of frames|height|width|channels, got 'depth'");
    wrong("latent_slice", "'latent':['latent',0],'start':3",
          "start must be -3..2 for 3 along frames, got 3");
    wrong("latent_slice", "'latent':['latent',0],'start':1,'count':3",
          "count must be 0..2 from 1 of 3 along frames on, got 3");
}

TEST(latent_concat_joins)
{
    outcome o = right("latent_concat", "'a':['latent',0],'b':['latent100',0]");
    check_shape(first(&o, 0), "samples", "[2,6,4,4]");
    CHECK_NEAR(at(first(&o, 0), "samples", 48), 100, 0);
    CHECK_NEAR(at(first(&o, 0), "samples", 96), 48, 0);
    outcome_clear(&o);
    o = right("latent_concat", "'a':['latent',0],'b':['latent100',0],'axis':'width'");
    check_shape(first(&o, 0), "samples", "[2,3,4,8]");
    CHECK_NEAR(at(first(&o, 0), "samples", 4), 100, 0);
    outcome_clear(&o);
    wrong("latent_concat", "'a':['flat',0],'b':['latent',0]", "a " LATENT_WANTED "F32 [4,4]");
    wrong("latent_concat", "'a':['latent',0],'b':['video',0]",
          "b " LATENT_WANTED "a record without it");
    wrong("latent_concat", "'a':['latent',0],'b':['latent',0],'axis':'x'",
          "axis must be one of frames|height|width|channels, got 'x'");
}

TEST(latent_blend_goes_between)
{
    outcome o = right("latent_blend", "'a':['latent',0],'b':['latent100',0],'amount':0.25");
    CHECK_NEAR(at(first(&o, 0), "samples", 4), 29, 1e-4);
    outcome_clear(&o);
    o = right("latent_blend", "'a':['latent',0],'b':['latent100',0],'amount':1,'mode':'slerp'");
    CHECK_NEAR(at(first(&o, 0), "samples", 4), 104, 1e-3);
    outcome_clear(&o);
    wrong("latent_blend", "'a':['text',0],'b':['latent',0]", "a " LATENT_WANTED "a text");
    wrong("latent_blend", "'a':['latent',0],'b':['text',0]", "b " LATENT_WANTED "a text");
    wrong("latent_blend", "'a':['latent',0],'b':['latent',0],'amount':1.5",
          "amount must be 0..1, got 1.5");
    wrong("latent_blend", "'a':['latent',0],'b':['latent',0],'mode':'add'",
          "mode must be one of mix|slerp, got 'add'");
}

TEST(latent_resize_resizes_clean_latents)
{
    outcome o = right("latent_resize", "'latent':['latent',0],'width':8");
    check_shape(first(&o, 0), "samples", "[2,3,8,8]");
    CHECK(!tb_record_get(first(&o, 0), "noise"));
    outcome_clear(&o);
    wrong("latent_resize", "'latent':['text',0]", "latent " LATENT_WANTED "a text");
    wrong("latent_resize", "'latent':['noise',0],'width':8",
          "latent must not be noise, which cannot be resized; give noise_init the wanted size");
    wrong("latent_resize", "'latent':['latent',0],'width':-1", "width must be 0..4096, got -1");
    wrong("latent_resize", "'latent':['latent',0],'height':5000",
          "height must be 0..4096, got 5000");
    wrong("latent_resize", "'latent':['latent',0],'filter':'sharp'",
          "filter must be one of nearest|area|bilinear|bicubic|lanczos, got 'sharp'");
}

#define IMAGE_WANTED "must be IMAGE f32 [frames,height,width,3], got "

TEST(image_slice_crops)
{
    outcome o = right("image_slice", "'image':['red',0],'axis':'width','start':8,'count':16");
    check_shape(first(&o, 0), NULL, "[2,32,16,3]");
    outcome_clear(&o);
    wrong("image_slice", "'image':['flat',0]", "image " IMAGE_WANTED "F32 [4,4]");
    wrong("image_slice", "'image':['red',0],'axis':'channels'",
          "axis must be one of frames|height|width, got 'channels'");
    wrong("image_slice", "'image':['red',0],'start':2",
          "start must be -2..1 for 2 along frames, got 2");
    wrong("image_slice", "'image':['red',0],'count':3",
          "count must be 0..2 from 0 of 2 along frames on, got 3");
}

TEST(image_concat_joins)
{
    outcome o = right("image_concat", "'a':['red',0],'b':['blue',0],'axis':'width'");
    check_shape(first(&o, 0), NULL, "[2,32,96,3]");
    CHECK_NEAR(at(first(&o, 0), NULL, 48 * 3), 0, 0);
    CHECK_NEAR(at(first(&o, 0), NULL, 48 * 3 + 2), 1, 0);
    outcome_clear(&o);
    wrong("image_concat", "'a':['text',0],'b':['blue',0]", "a " IMAGE_WANTED "a text");
    wrong("image_concat", "'a':['red',0],'b':['text',0]", "b " IMAGE_WANTED "a text");
    wrong(
        "image_concat", "'a':['red',0],'b':['small',0]",
        "what is joined must have the same size along all other axes, got F32 [2,32,48,3] and F32 "
        "[1,8,8,3]");
    wrong("image_concat", "'a':['red',0],'b':['red',0],'axis':'time'",
          "axis must be one of frames|height|width, got 'time'");
}

TEST(image_batch_joins_a_list)
{
    outcome o = right("image_batch", "'images':['list',0]");
    check_shape(first(&o, 0), NULL, "[4,32,48,3]");
    outcome_clear(&o);
    wrong("image_batch", "'images':['mixed',0]",
          "what is joined must have the same size along all other axes, got F32 [1,8,8,3] and F32 "
          "[2,32,48,3]");
    wrong("image_batch", "'images':['none',0]",
          "images must be a list of at least one IMAGE, got an empty list");
    wrong("image_batch", "'images':['text',0]",
          "images must be a list of IMAGE f32 [frames,height,width,3], got a text");
}

TEST(image_resize_keeps_or_cuts_the_aspect)
{
    outcome o = right("image_resize", "'image':['red',0],'width':24");
    check_shape(first(&o, 0), NULL, "[2,16,24,3]");
    CHECK_NEAR(at(first(&o, 0), NULL, 0), 1, 1e-6);
    outcome_clear(&o);
    o = right("image_resize", "'image':['red',0],'width':64,'height':64,'fit':'pad'");
    check_shape(first(&o, 0), NULL, "[2,64,64,3]");
    CHECK_NEAR(at(first(&o, 0), NULL, 0), 0, 0); /* the border */
    CHECK_NEAR(at(first(&o, 0), NULL, (int64_t)32 * 64 * 3), 1, 1e-6);
    outcome_clear(&o);
    o = right("image_resize", "'image':['red',0],'width':64,'height':64,'fit':'crop'");
    CHECK_NEAR(at(first(&o, 0), NULL, 0), 1, 1e-6);
    outcome_clear(&o);
    wrong("image_resize", "'image':['text',0],'width':8", "image " IMAGE_WANTED "a text");
    wrong("image_resize", "'image':['red',0],'width':20000", "width must be 0..16384, got 20000");
    wrong("image_resize", "'image':['red',0],'height':-3", "height must be 0..16384, got -3");
    wrong("image_resize", "'image':['red',0],'fit':'squeeze'",
          "fit must be one of crop|pad|stretch, got 'squeeze'");
    wrong("image_resize", "'image':['red',0],'filter':'cubic'",
          "filter must be one of nearest|area|bilinear|bicubic|lanczos, got 'cubic'");
}

TEST(image_blend_mixes_and_masks)
{
    outcome o = right("image_blend", "'a':['red',0],'b':['blue',0],'amount':0.25");
    CHECK_NEAR(at(first(&o, 0), NULL, 0), 0.75, 1e-6);
    CHECK_NEAR(at(first(&o, 0), NULL, 2), 0.25, 1e-6);
    outcome_clear(&o);
    o = right("image_blend", "'a':['red',0],'b':['blue',0],'mask':['mask',0],'amount':1");
    CHECK_NEAR(at(first(&o, 0), NULL, 0), 1, 1e-6); /* mask 0 */
    CHECK_NEAR(at(first(&o, 0), NULL, 5), 1, 1e-6); /* mask 1: blue */
    outcome_clear(&o);
    wrong("image_blend", "'a':['text',0],'b':['blue',0]", "a " IMAGE_WANTED "a text");
    wrong("image_blend", "'a':['red',0],'b':['flat',0]", "b " IMAGE_WANTED "F32 [4,4]");
    wrong("image_blend", "'a':['red',0],'b':['small',0]",
          "a and b must be f32 and have the same size, got F32 [2,32,48,3] and F32 [1,8,8,3]");
    wrong("image_blend", "'a':['red',0],'b':['blue',0],'mask':['flat',0]",
          "mask must be MASK f32 [frames,height,width], got F32 [4,4]");
    wrong("image_blend", "'a':['small',0],'b':['small',0],'mask':['mask',0]",
          "mask must have one frame or as many as the pictures, and their size, got F32 [1,32,48] "
          "and "
          "F32 [1,8,8,3]");
    wrong("image_blend", "'a':['red',0],'b':['blue',0],'amount':-1", "amount must be 0..1, got -1");
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(math_number_keeps_integers),
        TEST_CASE(math_number_tells_what_is_wrong),
        TEST_CASE(compare_answers),
        TEST_CASE(constants_pass_on),
        TEST_CASE(string_join_joins_lists),
        TEST_CASE(string_format_fills_places),
        TEST_CASE(prompt_grid_gives_all_combinations),
        TEST_CASE(switch_computes_one_side_only),
        TEST_CASE(latent_slice_takes_a_range),
        TEST_CASE(latent_concat_joins),
        TEST_CASE(latent_blend_goes_between),
        TEST_CASE(latent_resize_resizes_clean_latents),
        TEST_CASE(image_slice_crops),
        TEST_CASE(image_concat_joins),
        TEST_CASE(image_batch_joins_a_list),
        TEST_CASE(image_resize_keeps_or_cuts_the_aspect),
        TEST_CASE(image_blend_mixes_and_masks),
    };
    return node_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
