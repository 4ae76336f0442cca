/* A plugin in plain C, without our SDK and without a C library: RESP2, the protocol of Redis
 * (https://redis.io/docs/latest/develop/reference/protocol-spec/). Commands are arrays of bulk strings, replies any value;
 * they pair in order. It proves that CONTRACT.md and the generated header are enough to write a plugin.
 *
 *     +OK\r\n          simple string        :42\r\n                integer
 *     -ERR why\r\n     error                *2\r\n                 array: so many values follow
 *     $5\r\nhello\r\n  bulk string          $-1\r\n, *-1\r\n       none
 *
 * A message needs no stack: a counter of values that are still to come is enough, since an array is a value that brings
 * further ones. Bulk strings that are not there whole are skipped, so a value of any size costs its header.
 *
 * Given up on purpose: keys, values and error texts (user data); RESP3, subscriptions, MONITOR and replication (opaque from
 * there on); replies after a loss, up to the next time that the client speaks, since nothing could pair with them. */
#include "protap_plugin.h"

PROTAP_MANIFEST({
    "contract": PROTAP_CONTRACT, "name": "resp", "version": "1.0", "protocols": ["redis"], "ports": [6379],
    "attributes": [
        {"name": "db.system.name", "type": "str"}, {"name": "db.operation.name", "type": "str"},
        {"name": "redis.arguments", "type": "i64"}, {"name": "db.response.status_code", "type": "str"}
    ],
    "options": [{"key": "arguments", "default": "on", "help": "on, off: count a command's arguments"}],
    "decodes": ["RESP2 commands by name, replies by kind, errors by their first word"]
})

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

enum {
    MAX_NAME = 24,          /* longest command name; those of Redis have up to 20 letters */
    MAX_LINE = 4096,        /* longest simple string or error */
    MAX_ANSWER = 128,       /* messages in an answer; more are told in the next one */
    MAX_ELEMENTS = 1 << 20, /* values of one array, as Redis itself limits them */
    MAX_FLOWS = 1 << 16,
};

/* What is kept of a direction: the message that is being read. */
typedef struct {
    u64 start; /* its stream offset */
    u32 left;  /* values still to come; 0 between messages */
    u32 arguments;
    u32 name_len; /* 0: the name is still to come */
    u8 name[MAX_NAME];
    u8 type; /* of a reply: its first byte */
    u8 is_none;
    u8 error_len; /* length of an error's first word */
    u8 error[MAX_NAME];
} lane;

typedef struct {
    lane lanes[2];
    u32 next_free; /* of a closed flow: 1 + index of the next closed one */
    u32 is_open;
} flow;

/* One call's input, and where reading stands in it. */
typedef struct {
    const u8 *bytes;
    u32 len, at;
} reader;

static u8 input[2 * PROTAP_DEFAULT_WINDOW];
static protap_parse_result result;
static protap_message messages[MAX_ANSWER];
static protap_attribute attributes[MAX_ANSWER][3];
static u8 names[MAX_ANSWER][MAX_NAME]; /* strings of the answer that are not in the input any more */
static u32 replies;                    /* replies in this call that answer a request */
static int counts_arguments = 1;

extern u8 __heap_base; /* the linker's: where static data end */
static flow *flows;
static u32 flow_count, first_free;

static u32 address(const void *p) { return (u32)(uintptr_t)p; }

static protap_str text(const void *bytes, u32 len) { return (protap_str){address(bytes), len}; }

#define TEXT(literal) text("" literal, sizeof(literal) - 1)

static void clear(void *p, u32 len) {
    for (u8 *at = p; len > 0; len--) *at++ = 0;
}

static void copy(void *to, const void *from, u32 len) {
    for (u32 i = 0; i < len; i++) ((u8 *)to)[i] = ((const u8 *)from)[i];
}

/* Whether a string of known length is this one. */
static int is(const u8 *bytes, u32 len, const char *word) {
    u32 i = 0;
    while (i < len && word[i] != 0 && bytes[i] == (u8)word[i]) i++;
    return i == len && word[i] == 0;
}

static int is_letter(u8 c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

/* --- Reading values. */

enum outcome { DONE, SHORT, BROKEN };

typedef struct {
    u8 type;
    u32 head;   /* bytes of the first line, line break included */
    int64_t n;  /* the number in it: length, elements, integer; -1 if it is none */
} value;

/* Reads the first line of a value. */
static enum outcome read_head(const reader *r, u32 at, value *v) {
    if (at >= r->len) return SHORT;
    v->type = r->bytes[at];
    int is_number = v->type == '$' || v->type == '*' || v->type == ':';
    if (!is_number && v->type != '+' && v->type != '-') return BROKEN;
    u32 limit = is_number ? 24 : MAX_LINE, digits = 0;
    int negative = 0;
    v->n = 0;
    for (u32 i = at + 1; i < r->len; i++) {
        u8 c = r->bytes[i];
        if (i - at > limit || c == '\n') return BROKEN;
        if (c == '\r') {
            if (is_number && digits == 0) return BROKEN;
            if (i + 1 >= r->len) return SHORT;
            if (r->bytes[i + 1] != '\n') return BROKEN;
            if (negative) v->n = -v->n;
            v->head = i + 2 - at;
            if (v->type == '$' && (v->n < -1 || v->n > 512 << 20)) return BROKEN;
            if (v->type == '*' && (v->n < -1 || v->n > MAX_ELEMENTS)) return BROKEN;
            return DONE;
        }
        if (!is_number) continue;
        if (c == '-' && i == at + 1) {
            negative = 1;
        } else if (c >= '0' && c <= '9') {
            if (++digits < 19) v->n = v->n * 10 + (c - '0');
        } else {
            return BROKEN;
        }
    }
    return r->len - at > limit ? BROKEN : SHORT;
}

/* Stream bytes of a value besides its first line (an array's elements are values of their own). */
static u32 body(const value *v) { return v->type == '$' && v->n >= 0 ? (u32)v->n + 2 : 0; }

/* Whether a command starts here: an array, then a bulk string of letters. DONE only with its whole name. */
static enum outcome command_at(const reader *r, u32 at) {
    value array, name;
    if (at < r->len && r->bytes[at] != '*') return BROKEN;
    enum outcome seen = read_head(r, at, &array);
    if (seen != DONE) return seen;
    if (array.n < 1) return BROKEN;
    at += array.head;
    if (at < r->len && r->bytes[at] != '$') return BROKEN;
    seen = read_head(r, at, &name);
    if (seen != DONE) return seen;
    if (name.n < 1 || name.n > MAX_NAME) return BROKEN;
    at += name.head;
    for (u32 i = 0; i < (u32)name.n + 2; i++) {
        if (at + i >= r->len) return SHORT;
        u8 c = r->bytes[at + i];
        if (i < (u32)name.n ? !(is_letter(c) || (i > 0 && (c == '.' || c == '_' || c == '-' || (c >= '0' && c <= '9'))))
                            : c != (i == (u32)name.n ? '\r' : '\n'))
            return BROKEN;
    }
    return DONE;
}

/* --- Telling messages. */

static void attribute(protap_message *m, u32 slot, u32 index, u8 tag, u64 v) {
    attributes[slot][m->attributes.len++] = (protap_attribute){.index = (uint16_t)index, .tag = tag, .value = v};
}

static void attribute_text(protap_message *m, u32 slot, u32 index, protap_str s) {
    attribute(m, slot, index, PROTAP_TAG_STR, s.ptr | (u64)s.len << 32);
}

/* The message is complete, or only bytes that nobody needs to see are missing. */
static void tell(lane *l, u64 end, int to_client) {
    u32 slot = result.message_count++;
    protap_message *m = &messages[slot];
    clear(m, sizeof *m);
    m->start = l->start;
    m->end = end;
    m->attributes.ptr = address(attributes[slot]);
    m->attribute_stride = sizeof attributes[0][0];
    attribute_text(m, slot, 0, TEXT("redis"));
    if (!to_client) {
        copy(names[slot], l->name, l->name_len);
        protap_str name = text(names[slot], l->name_len);
        m->kind = PROTAP_KIND_REQUEST;
        m->type_name = name;
        attribute_text(m, slot, 1, name);
        if (counts_arguments) attribute(m, slot, 2, PROTAP_TAG_I64, l->arguments - 1);
        /* The response cannot tell a value that is none from a hit without knowing what was asked. */
        if (is(l->name, l->name_len, "GET") || is(l->name, l->name_len, "HGET")) m->context = TEXT("G");
        if (l->name_len >= 4 && l->name[0] == 'B' && (l->name[1] == 'L' || l->name[1] == 'R' || l->name[1] == 'Z'))
            m->flags |= PROTAP_MESSAGE_LONG_POLL;
    } else {
        u8 context[PROTAP_MAX_CONTEXT];
        int32_t known = protap_pending(PROTAP_PENDING_FRONT + replies++, 0, address(context));
        m->kind = PROTAP_KIND_RESPONSE;
        m->status = PROTAP_STATUS_OK;
        if (l->type == '-') {
            copy(names[slot], l->error, l->error_len);
            m->status = PROTAP_STATUS_CLIENT_ERROR;
            m->exception = text(names[slot], l->error_len);
            attribute_text(m, slot, 3, m->exception);
        } else if (known == 1 && context[0] == 'G' && l->type == '$') {
            m->result = l->is_none ? TEXT("miss") : TEXT("hit");
        }
    }
    l->left = 0;
}

static u32 answer(u32 verb, u32 consumed, u64 amount) {
    result.verb = verb;
    result.consumed = consumed;
    result.amount = amount;
    result.messages = address(messages);
    result.message_stride = sizeof messages[0];
    result.facts = 0;
    result.fact_stride = sizeof(protap_fact);
    return address(&result);
}

static u32 answer_with(u32 verb, u32 consumed, protap_str reason) {
    result.reason = reason;
    return answer(verb, consumed, 0);
}

static void start_answer(void) {
    clear(&result, sizeof result);
    replies = 0;
}

/* --- The contract's functions. */

uint32_t protap_input(uint32_t len) { return len <= sizeof input ? address(input) : 0; }

uint32_t protap_configure(uint32_t len) {
    u32 at = 0;
    for (u32 index = 1; at < len; index++) {
        const u8 *key = input + at;
        u32 key_len = 0, value_len = 0;
        while (at + key_len < len && key[key_len] != 0) key_len++;
        const u8 *v = key + key_len + 1;
        while (at + key_len + 1 + value_len < len && v[value_len] != 0) value_len++;
        if (!is(key, key_len, "arguments")) return index;
        if (!is(v, value_len, "on") && !is(v, value_len, "off")) return index;
        counts_arguments = is(v, value_len, "on");
        at += key_len + value_len + 2;
    }
    return 0;
}

uint64_t protap_probe(uint32_t len_a, uint32_t len_b, uint32_t flags, uint32_t ports) {
    (void)ports;
    reader heads[2] = {{input, len_a, 0}, {input + len_a, len_b, 0}};
    u32 longest = len_a > len_b ? len_a : len_b;
    int waits = 0;
    if (flags & PROTAP_FLAG_DATAGRAM) return PROTAP_PROBE_NO;
    for (u32 client = 0; client < 2; client++) {
        value reply;
        enum outcome asked = command_at(&heads[client], 0), answered = read_head(&heads[1 - client], 0, &reply);
        u64 who = (client == 0 ? PROTAP_PROBE_CLIENT_A : PROTAP_PROBE_CLIENT_B) << 8;
        if (asked == DONE && answered == DONE) return PROTAP_PROBE_CERTAIN | who;
        if (asked == DONE && answered == SHORT) return PROTAP_PROBE_LIKELY | who;
        waits |= asked == SHORT && heads[client].len > 0 && answered != BROKEN;
    }
    if (!waits || (flags & PROTAP_FLAG_HEADS_COMPLETE)) return PROTAP_PROBE_NO;
    return PROTAP_PROBE_MORE | (u64)(longest + 1) << 32;
}

uint32_t protap_open(uint32_t flags, uint32_t ports) {
    (void)flags, (void)ports;
    u32 index = first_free - 1;
    if (first_free == 0) {
        if (flow_count >= MAX_FLOWS) return 0;
        if (flows == 0) flows = (flow *)(((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15);
        index = flow_count;
        u64 end = (u64)address(flows + index + 1), size = (u64)__builtin_wasm_memory_size(0) << 16;
        if (end > size && __builtin_wasm_memory_grow(0, 1) == (size_t)-1) return 0;
        flow_count++;
    } else {
        first_free = flows[index].next_free;
    }
    clear(&flows[index], sizeof flows[index]);
    flows[index].is_open = 1;
    return index + 1;
}

static flow *flow_of(u32 handle) {
    return handle - 1 < flow_count && flows[handle - 1].is_open ? &flows[handle - 1] : 0;
}

void protap_close(uint32_t handle) {
    flow *f = flow_of(handle);
    if (f == 0) return;
    f->is_open = 0;
    f->next_free = first_free;
    first_free = handle;
}

/* A command from which on the flow is no sequence of commands and replies. */
static int ends_turns(const lane *l) {
    static const char *const commands[] = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR", "SYNC", "PSYNC"};
    for (u32 i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (is(l->name, l->name_len, commands[i])) return 1;
    return 0;
}

/* The first value of a message. */
static void begin(lane *l, const reader *r, const value *v, u64 offset) {
    clear(l, sizeof *l);
    l->start = offset + r->at;
    l->left = 1;
    l->type = v->type;
    l->is_none = v->n < 0 && v->type != ':';
    if (v->type != '-') return;
    for (u32 i = 1; l->error_len < MAX_NAME; i++) {
        u8 c = r->bytes[r->at + i];
        if (!(is_letter(c) || c == '_')) break;
        l->error[l->error_len++] = c;
    }
}

uint32_t protap_parse(uint32_t handle, uint32_t flags, uint64_t offset, uint32_t len, uint64_t gap) {
    (void)gap;
    start_answer();
    flow *f = flow_of(handle);
    if (f == 0) return answer_with(PROTAP_VERB_REJECT, 0, TEXT("no such flow"));
    int to_client = (flags & PROTAP_FLAG_TO_CLIENT) != 0;
    lane *l = &f->lanes[to_client];
    reader r = {input, len, 0};
    while (result.message_count < MAX_ANSWER) {
        value v;
        int is_first = l->left == 0, is_name = !to_client && !is_first && l->name_len == 0;
        enum outcome seen = read_head(&r, r.at, &v);
        if (seen == SHORT) {
            if ((flags & PROTAP_FLAG_GAP) && (r.at == len || r.at == 0)) return answer(PROTAP_VERB_LOST, 0, 0);
            return answer(r.at == len && len > 0 ? PROTAP_VERB_MORE : PROTAP_VERB_NEED, r.at, r.at == len && len > 0 ? 0 : len - r.at + 1);
        }
        if (to_client && seen == BROKEN && is_first && is(input + r.at, 1, "%"))
            return answer_with(PROTAP_VERB_OPAQUE, 0, TEXT("RESP3"));
        if (seen == BROKEN) return answer_with(PROTAP_VERB_INVALID, r.at, TEXT("no value of RESP2"));
        u64 end = offset + r.at + v.head + body(&v);
        int is_whole = body(&v) <= len - r.at - v.head;
        if (!to_client && (is_first ? v.type != '*' || v.n < 1 : v.type != '$' || v.n < 0))
            return answer_with(PROTAP_VERB_INVALID, r.at, TEXT("no command"));
        if (is_name && (v.n == 0 || v.n > MAX_NAME)) return answer_with(PROTAP_VERB_INVALID, r.at, TEXT("no command name"));
        if (is_name && !is_whole) {
            if (flags & PROTAP_FLAG_GAP && r.at == 0) return answer(PROTAP_VERB_LOST, 0, 0);
            return answer(PROTAP_VERB_NEED, r.at, v.head + body(&v));
        }
        if (is_whole && body(&v) > 0) {
            const u8 *line_end = input + r.at + v.head + v.n;
            if (line_end[0] != '\r' || line_end[1] != '\n')
                return answer_with(PROTAP_VERB_INVALID, r.at, TEXT("a bulk string of another length"));
        }
        if (is_first) {
            begin(l, &r, &v, offset);
            l->arguments = v.n > 0 ? (u32)v.n : 0;
        }
        if (v.type == '*' && v.n > 0) {
            if (l->left + (u32)v.n > MAX_ELEMENTS) return answer_with(PROTAP_VERB_INVALID, r.at, TEXT("a huge array"));
            l->left += (u32)v.n;
        }
        if (is_name) {
            l->name_len = (u32)v.n;
            for (u32 i = 0; i < l->name_len; i++) {
                u8 c = input[r.at + v.head + i];
                l->name[i] = c >= 'a' && c <= 'z' ? c - 32 : c;
            }
            if (ends_turns(l)) return answer_with(PROTAP_VERB_OPAQUE, 0, TEXT("pushes without requests"));
        }
        if (--l->left == 0) tell(l, end, to_client);
        r.at += v.head;
        if (!is_whole) return answer(PROTAP_VERB_SKIP, r.at, body(&v));
        r.at += body(&v);
    }
    return answer(PROTAP_VERB_MORE, r.at, 0);
}

/* Where the message ends that starts here: DONE and its end, which may lie behind the window, SHORT if that cannot be
 * told from the window. */
static enum outcome end_of(const reader *r, u32 at, u64 *end) {
    u64 left = 1;
    for (u64 next = at; left > 0; left--) {
        value v;
        if (next >= r->len) return SHORT;
        enum outcome seen = read_head(r, (u32)next, &v);
        if (seen != DONE) return seen;
        if (v.type == '*' && v.n > 0) left += (u64)v.n;
        next += v.head + body(&v);
        *end = next;
    }
    return DONE;
}

uint32_t protap_resync(uint32_t handle, uint32_t flags, uint64_t offset, uint32_t len) {
    start_answer();
    flow *f = flow_of(handle);
    int to_client = (flags & PROTAP_FLAG_TO_CLIENT) != 0;
    if (f == 0) return answer(PROTAP_VERB_MORE, len, 0);
    clear(&f->lanes[to_client], sizeof f->lanes[to_client]);
    reader r = {input, len, 0};
    int is_hinted = (flags & (PROTAP_FLAG_TURNAROUND | PROTAP_FLAG_EXPECTED)) != 0;
    if (to_client) {
        value v;
        enum outcome seen = is_hinted ? read_head(&r, 0, &v) : BROKEN;
        if (seen == DONE) return answer(PROTAP_VERB_FOUND, 0, 0);
        if (seen == SHORT) return answer(PROTAP_VERB_NEED, 0, len + 1);
        return answer(PROTAP_VERB_MORE, len, 0);
    }
    for (u32 at = 0; at < len; at++) {
        u64 end = 0;
        enum outcome seen = command_at(&r, at);
        if (seen == BROKEN) continue;
        if (seen == DONE && at == 0 && is_hinted) return answer(PROTAP_VERB_FOUND, 0, 0);
        if (seen == DONE) seen = end_of(&r, at, &end);
        if (seen == BROKEN) continue;
        if (seen == DONE && end >= len) return answer(PROTAP_VERB_CANDIDATE, at, offset + end);
        if (seen == DONE) seen = command_at(&r, (u32)end);
        if (seen == DONE) return answer(PROTAP_VERB_FOUND, at, 0);
        if (seen == BROKEN) continue;
        /* Too short to tell. A command that does not fit into a window cannot be confirmed there. */
        u32 amount = len - at + 1;
        if (amount <= PROTAP_DEFAULT_WINDOW / 2) return answer(PROTAP_VERB_NEED, at, amount);
    }
    return answer(PROTAP_VERB_MORE, len, 0);
}
