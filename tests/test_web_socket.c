/* test_web_socket.c - WebSockets: who reaches which endpoint, messages in pieces, queues of slow
 * clients. */
#include "web_routes.h"

static int upgrade(client *c, const char *path, const char *more)
{
    REQUIRE(client_open(c, port));
    return client_upgrade(c, path, more);
}

TEST(endpoints_go_by_path_and_protocol)
{
    client c;
    start();
    CHECK_INT(upgrade(&c, "/ws?clientId=a%26b&x=1", ""), 101);
    CHECK_STR(client_header(&c, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK_INT(client_read_frame(&c), FRAME_TEXT);
    CHECK_STR(c.body.s, "{\"query\":\"clientId=a%26b&x=1\"}");
    client_close(&c);
    CHECK_INT(upgrade(&c, "/api/ws", ""), 101);
    client_close(&c);
    CHECK_INT(upgrade(&c, "/events", "Sec-WebSocket-Protocol: events\r\n"), 101);
    CHECK_STR(client_header(&c, "Sec-WebSocket-Protocol"), "events");
    CHECK_INT(client_read_frame(&c), FRAME_TEXT);
    CHECK_STR(c.body.s, "{\"query\":\"\"}");
    client_close(&c);
    CHECK_INT(upgrade(&c, "/events", ""), 404);
    client_close(&c);
    CHECK_INT(upgrade(&c, "/elsewhere", ""), 404);
    CHECK(strstr(c.body.s, "no WebSocket is served at this address for that sub-protocol"));
    client_close(&c);
    stop();
}

TEST(messages_come_back_whole)
{
    client c;
    char *large = calloc(1, 70001);
    memset(large, 'x', 70000);
    start();
    CHECK_INT(upgrade(&c, "/ws", ""), 101);
    CHECK_INT(client_read_frame(&c), FRAME_TEXT);
    CHECK(client_send_text(&c, "hello"));
    CHECK_INT(client_read_frame(&c), FRAME_TEXT);
    CHECK_STR(c.body.s, "hello");
    client_send_frame(&c, FRAME_TEXT, false, "one ", 4);
    client_send_frame(&c, FRAME_PING, true, "p", 1);
    client_send_frame(&c, FRAME_MORE, false, "two ", 4);
    client_send_frame(&c, FRAME_MORE, true, "three", 5);
    int kind = client_read_frame(&c);
    CHECK_INT(kind, 10); /* pong */
    CHECK_STR(c.body.s, "p");
    CHECK_INT(client_read_frame(&c), FRAME_TEXT);
    CHECK_STR(c.body.s, "one two three");
    client_send_frame(&c, FRAME_TEXT, true, "", 0);
    CHECK_INT(client_read_frame(&c), FRAME_TEXT);
    CHECK_INT(c.body.len, 0);
    large[65536] = 0;
    CHECK(client_send_text(&c, large));
    CHECK_INT(client_read_frame(&c), FRAME_TEXT);
    CHECK_INT(c.body.len, 65536);
    large[65536] = 'x';
    client_send_text(&c, large);
    CHECK_INT(client_read_frame(&c), FRAME_CLOSE);
    CHECK_INT((unsigned char)c.body.s[0] << 8 | (unsigned char)c.body.s[1], 1009);
    client_close(&c);
    stop();
    free(large);
}

TEST(many_fragments_count_as_one_message)
{
    client c;
    char piece[1000];
    memset(piece, 'y', sizeof piece);
    start();
    CHECK_INT(upgrade(&c, "/ws", ""), 101);
    CHECK_INT(client_read_frame(&c), FRAME_TEXT);
    for (int i = 0; i < 70; i++)
        if (!client_send_frame(&c, i ? FRAME_MORE : FRAME_TEXT, false, piece, sizeof piece))
            break;
    CHECK_INT(client_read_frame(&c), FRAME_CLOSE);
    client_close(&c);
    stop();
}

TEST(texts_have_to_be_utf8)
{
    client c;
    start();
    CHECK_INT(upgrade(&c, "/ws", ""), 101);
    CHECK_INT(client_read_frame(&c), FRAME_TEXT);
    client_send_frame(&c, FRAME_TEXT, true, "\xff\xfe", 2);
    const int kind = client_read_frame(&c);
    CHECK(kind == FRAME_CLOSE || kind == -1);
    client_close(&c);
    stop();
}

TEST(a_preview_not_sent_yet_is_replaced)
{
    client c;
    start();
    CHECK_INT(upgrade(&c, "/ws", ""), 101);
    CHECK_INT(client_read_frame(&c), FRAME_TEXT);
    client_send_text(&c, "slots");
    CHECK_INT(client_read_frame(&c), FRAME_BINARY);
    CHECK_STR(c.body.s, "b1");
    CHECK_INT(client_read_frame(&c), FRAME_BINARY);
    CHECK_STR(c.body.s, "a3");
    client_send_text(&c, "end");
    CHECK_INT(client_read_frame(&c), FRAME_TEXT);
    CHECK_STR(c.body.s, "end");
    client_close(&c);
    stop();
}

/* What fits arrives in order; a client that reads nothing is dropped, not waited for. */
TEST(a_client_that_does_not_read_is_dropped)
{
    client c;
    int n = 0;
    start();
    CHECK_INT(upgrade(&c, "/ws", ""), 101);
    CHECK_INT(client_read_frame(&c), FRAME_TEXT);
    client_send_text(&c, "flood 300");
    while (n < 300 && client_read_frame(&c) == FRAME_TEXT)
        n++;
    CHECK_INT(n, 300);
    client_send_text(&c, "flood 5000000"); /* of 1 byte each: more than the 4 MiB that may wait */
    CHECK(client_ended(&c));
    client_close(&c);
    CHECK_INT(upgrade(&c, "/ws", ""), 101);
    client_close(&c);
    stop();
}

TEST(frames_may_follow_the_upgrade_at_once)
{
    static const char text[] = "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n"
                               "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                               "\x81\x82\x01\x02\x03\x04ik";
    client c;
    start();
    for (int behind = 0; behind < 2; behind++) {
        const char *from = behind ? text : strstr(text, "GET /ws");
        REQUIRE(client_open(&c, port));
        client_send(&c, from, sizeof text - 1 - (size_t)(from - text));
        if (behind)
            CHECK_INT(client_read(&c, true), 200);
        CHECK_INT(client_read(&c, true), 101);
        CHECK_INT(client_read_frame(&c), FRAME_TEXT);
        CHECK_INT(client_read_frame(&c), FRAME_TEXT);
        CHECK_STR(c.body.s, "hi");
        client_close(&c);
    }
    stop();
}

/* clang-format off */
static const struct tb_test tests[] = {
    TEST_CASE(endpoints_go_by_path_and_protocol),
    TEST_CASE(messages_come_back_whole),
    TEST_CASE(many_fragments_count_as_one_message),
    TEST_CASE(texts_have_to_be_utf8),
    TEST_CASE(a_preview_not_sent_yet_is_replaced),
    TEST_CASE(a_client_that_does_not_read_is_dropped),
    TEST_CASE(frames_may_follow_the_upgrade_at_once),
};
/* clang-format on */

int main(int argc, char **argv)
{
    return web_test_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
