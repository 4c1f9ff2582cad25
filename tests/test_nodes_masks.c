/* test_nodes_masks.c - boxes, soft edges and larger canvases: every pixel of what the nodes give,
 * and the sentence that a wrong value earns. Pictures of node_run.h are 48x32, "small" is 8x8.
 */
#include <math.h>

#include "node_run.h"

enum { WIDTH = 48, HEIGHT = 32 };

#define IMAGE_WANTED "image must be IMAGE f32 [frames,height,width,3], got "

/* Columns left..right-1 of rows top..bottom-1. */
typedef struct box {
    int left, top, right, bottom;
} box;

static bool contains(box b, int x, int y)
{
    return x >= b.left && x < b.right && y >= b.top && y < b.bottom;
}

/* The box is 1 in slot 0 and 0 in slot 1, all around it is the other way round. */
static void check_box(const char *inputs, box want)
{
    outcome o = right("box_mask", inputs);
    check_shape(first(&o, 0), NULL, "[1,32,48]");
    check_shape(first(&o, 1), NULL, "[1,32,48]");
    int wrong_pixels = 0;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            const float in = contains(want, x, y) ? 1 : 0;
            wrong_pixels += at(first(&o, 0), NULL, y * WIDTH + x) != in;
            wrong_pixels += at(first(&o, 1), NULL, y * WIDTH + x) != 1 - in;
        }
    CHECK_INT(wrong_pixels, 0);
    outcome_clear(&o);
}

TEST(box_mask_marks_a_box)
{
    check_box("'image':['red',0],'x':3,'y':5,'width':7,'height':2", (box){ 3, 5, 10, 7 });
    check_box("'image':['red',0],'width':48,'height':32", (box){ 0, 0, 48, 32 });
    check_box("'image':['red',0],'x':47,'y':31,'width':1,'height':1", (box){ 47, 31, 48, 32 });
}

TEST(box_mask_grows_to_latent_cells)
{
    check_box("'image':['red',0],'vae':['vae',0],'x':9,'y':8,'width':7,'height':9",
              (box){ 8, 8, 16, 24 });
    check_box("'image':['red',0],'vae':['vae',0],'x':16,'y':0,'width':8,'height':8",
              (box){ 16, 0, 24, 8 });
    check_box("'image':['red',0],'vae':['record',0],'x':9,'width':1,'height':1",
              (box){ 9, 0, 10, 1 }); /* one that does not say how large its cells are */
}

TEST(box_mask_tells_what_is_wrong)
{
    wrong("box_mask", "'image':['flat',0]", IMAGE_WANTED "F32 [4,4]");
    wrong("box_mask", "'image':['red',0],'x':40,'y':8,'width':16,'height':16",
          "the box must lie within the pictures, 48x32, got one of 16x16 at 40,8");
    wrong("box_mask", "'image':['red',0],'height':33",
          "the box must lie within the pictures, 48x32, got one of 16x33 at 0,0");
    wrong("box_mask", "'image':['red',0],'x':-1", "x must be 0..65536, got -1");
    wrong("box_mask", "'image':['red',0],'width':0", "width must be 1..65536, got 0");
}

/* Of a mask whose values are their own index, only the first is 0: the way from there counts. */
TEST(mask_soften_rises_from_zero)
{
    outcome o = right("mask_soften", "'mask':['mask',0],'edge':3");
    check_shape(first(&o, 0), NULL, "[1,32,48]");
    int wrong_pixels = 0;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            const float want = fminf((float)(y * WIDTH + x), 0.25F * (float)(x + y));
            wrong_pixels += fabsf(at(first(&o, 0), NULL, y * WIDTH + x) - want) > 1e-4F;
        }
    CHECK_INT(wrong_pixels, 0);
    outcome_clear(&o);
}

TEST(mask_soften_without_an_edge_keeps_a_mask)
{
    outcome o = right("mask_soften", "'mask':['box',0],'edge':0");
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        CHECK_NEAR(at(first(&o, 0), NULL, i), contains((box){ 8, 8, 24, 24 }, i % WIDTH, i / WIDTH),
                   0);
    outcome_clear(&o);
}

/* The edge lies in the box, and not at the border of the picture. */
TEST(mask_soften_rises_inward)
{
    outcome o = right("mask_soften", "'mask':['box',0],'edge':1");
    CHECK_NEAR(at(first(&o, 0), NULL, 16 * WIDTH + 7), 0, 0);
    CHECK_NEAR(at(first(&o, 0), NULL, 16 * WIDTH + 8), 0.5, 0);
    CHECK_NEAR(at(first(&o, 0), NULL, 16 * WIDTH + 9), 1, 0);
    CHECK_NEAR(at(first(&o, 0), NULL, 23 * WIDTH + 16), 0.5, 0);
    outcome_clear(&o);
    o = right("mask_soften", "'mask':['box',1],'edge':3");
    CHECK_NEAR(at(first(&o, 0), NULL, 0), 1, 0);
    CHECK_NEAR(at(first(&o, 0), NULL, 7 * WIDTH + 16), 0.25, 1e-6);
    outcome_clear(&o);
    wrong("mask_soften", "'mask':['flat',0]",
          "mask must be MASK f32 [frames,height,width], got F32 [4,4]");
    wrong("mask_soften", "'mask':['mask',0],'edge':-1", "edge must be 0..4096, got -1");
}

/* Pictures of 48x32 at x, y of a canvas; the mask says where. */
static void check_canvas(const char *inputs, const char *shape, int width, int x, int y)
{
    outcome o = right("image_pad", inputs);
    check_shape(first(&o, 0), NULL, shape);
    const tb_tensor *mask = tb_value_as_tensor(first(&o, 1));
    int64_t wrong_pixels = 0;
    for (int i = 0; i < tb_tensor_count(mask); i++) {
        const box place = { x, y, x + WIDTH, y + HEIGHT };
        wrong_pixels +=
            tb_tensor_f32(mask)[i] != (contains(place, i % width, i / width) ? 1.0F : 0.0F);
    }
    CHECK_INT(wrong_pixels, 0);
    outcome_clear(&o);
}

TEST(image_pad_places_pictures)
{
    check_canvas("'image':['red',0],'width':64,'height':48", "[2,48,64,3]", 64, 8, 8);
    check_canvas("'image':['red',0],'width':64,'height':48,'x':0,'y':16", "[2,48,64,3]", 64, 0, 16);
    check_canvas("'image':['red',0],'width':48,'height':32", "[2,32,48,3]", 48, 0, 0);
}

TEST(image_pad_fills_around_them)
{
    outcome o = right("image_pad", "'image':['red',0],'width':64,'height':48");
    for (int64_t i = 0; i < tb_tensor_count(tb_value_as_tensor(first(&o, 0))); i++)
        REQUIRE(at(first(&o, 0), NULL, i) == (i % 3 == 0 ? 1.0F : 0.0F));
    outcome_clear(&o);
    o = right("image_pad", "'image':['red',0],'width':64,'height':48,'fill':'grey'");
    CHECK_NEAR(at(first(&o, 0), NULL, 0), 0.5, 0);
    CHECK_NEAR(at(first(&o, 0), NULL, 1), 0.5, 0);
    CHECK_NEAR(at(first(&o, 0), NULL, (8 * 64 + 8) * 3), 1, 0);
    outcome_clear(&o);
}

/* A picture whose pixels are all different: its outermost ones go on around it. */
TEST(image_pad_repeats_the_edge)
{
    outcome o = right("image_pad", "'image':['ramp',0],'width':4,'height':4,'x':1,'y':1");
    static const int source[4][4] = {
        { 0, 0, 1, 1 }, { 0, 0, 1, 1 }, { 2, 2, 3, 3 }, { 2, 2, 3, 3 }
    };
    for (int i = 0; i < 16; i++)
        for (int c = 0; c < 3; c++)
            CHECK_NEAR(at(first(&o, 0), NULL, i * 3 + c), source[i / 4][i % 4] * 3 + c, 0);
    outcome_clear(&o);
}

TEST(image_pad_tells_what_is_wrong)
{
    wrong("image_pad", "'image':['flat',0]", IMAGE_WANTED "F32 [4,4]");
    wrong("image_pad", "'image':['red',0],'width':40,'height':64",
          "the pictures must fit on the canvas, 40x64, got 48x32 at 0,16; resize them, or make the "
          "canvas larger");
    wrong("image_pad", "'image':['red',0],'width':64,'height':64,'x':17",
          "the pictures must fit on the canvas, 64x64, got 48x32 at 17,16; resize them, or make "
          "the canvas larger");
    wrong("image_pad", "'image':['red',0],'x':-2", "x must be -1..16384, got -2");
    wrong("image_pad", "'image':['red',0],'width':0", "width must be 1..16384, got 0");
    wrong("image_pad", "'image':['red',0],'fill':'black'",
          "fill must be one of edge|grey, got 'black'");
}

int main(int argc, char **argv)
{
    static const struct tb_test tests[] = {
        TEST_CASE(box_mask_marks_a_box),
        TEST_CASE(box_mask_grows_to_latent_cells),
        TEST_CASE(box_mask_tells_what_is_wrong),
        TEST_CASE(mask_soften_rises_from_zero),
        TEST_CASE(mask_soften_without_an_edge_keeps_a_mask),
        TEST_CASE(mask_soften_rises_inward),
        TEST_CASE(image_pad_places_pictures),
        TEST_CASE(image_pad_fills_around_them),
        TEST_CASE(image_pad_repeats_the_edge),
        TEST_CASE(image_pad_tells_what_is_wrong),
    };
    return node_test_main(argc, argv, tests, (int)(sizeof tests / sizeof *tests));
}
