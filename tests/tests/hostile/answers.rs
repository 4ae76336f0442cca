//! Answers that lie: addresses, counts and strides out of bounds, numbers that mean nothing, verbs that do not go with
//! their operands, and what is odd but allowed.

use protap_e2e::artifacts::scratch;
use protap_e2e::engine::read_with;
use protap_e2e::hostile::{ATTRIBUTE, Guest, MEMORY, RESULT, TEXT};
use protap_plugin::contract::{Attribute, Fact, Message, ParseResult, Str, memory, message, verb};

use super::{Case, assert_kafka_is_untouched, beside_kafka, capture, case, contained};

/// A case whose answer is constant, and wrong.
fn answer(name: &str, fault: &'static str, change: impl FnOnce(&mut Guest)) -> Case {
    case(name, fault, |guest| {
        guest.parse = "(i32.const 1024)".to_owned();
        guest.result.message_count = 0;
        change(guest);
    })
}

/// A case whose message is wrong in one field.
fn wrong_message(name: &str, fault: &'static str, change: impl FnOnce(&mut Message)) -> Case {
    case(name, fault, |guest| change(&mut guest.message))
}

#[test]
fn results_that_lie_outside_of_the_memory_are_refused() {
    let edge = MEMORY - 8;
    contained(
        "outside",
        vec![
            case("result_far", "bad result", |guest| guest.parse = "(i32.const -1)".to_owned()),
            case("result_edge", "bad result", |guest| guest.parse = format!("(i32.const {edge})")),
            wrong_message("type_far", "bad result", |m| m.type_name = Str { ptr: u32::MAX, len: 4 }),
            wrong_message("type_edge", "bad result", |m| m.type_name = Str { ptr: edge, len: 9 }),
            case("type_inside", None, |guest| guest.message.type_name = Str { ptr: edge, len: 8 }),
            wrong_message("type_long", "bad result", |m| m.type_name = Str { ptr: 0, len: memory::MAX_STR + 1 }),
            wrong_message("context_long", "bad result", |m| m.context = Str { ptr: 512, len: 65 }),
            case("context_full", None, |guest| guest.message.context = Str { ptr: 512, len: 64 }),
            wrong_message("attributes_far", "bad result", |m| m.attributes = Str { ptr: edge, len: 1 }),
            wrong_message("attributes_many", "bad result", |m| {
                m.attributes = Str { ptr: ATTRIBUTE, len: memory::MAX_ATTRIBUTES + 1 };
            }),
            wrong_message("attributes_stride", "bad result", |m| m.attribute_stride = 0),
            answer("messages_far", "bad result", |guest| {
                guest.result = ParseResult { messages: edge, message_count: 1, ..guest.result };
            }),
            answer("messages_many", "bad result", |guest| guest.result.message_count = memory::MAX_MESSAGES + 1),
            answer("messages_all", "bad result", |guest| guest.result.message_count = u32::MAX),
            answer("messages_stride", "bad result", |guest| {
                guest.result = ParseResult { message_count: 1, message_stride: 8, ..guest.result };
            }),
            answer("messages_stride_wraps", "bad result", |guest| {
                guest.result = ParseResult { message_count: 3, message_stride: u32::MAX, ..guest.result };
            }),
            answer("facts_far", "bad result", |guest| {
                guest.result = ParseResult { facts: edge, fact_count: 1, ..guest.result };
            }),
            answer("facts_many", "bad result", |guest| guest.result.fact_count = memory::MAX_FACTS + 1),
            answer("facts_stride", "bad result", |guest| {
                guest.result = ParseResult { fact_count: 1, fact_stride: 1, ..guest.result };
            }),
        ],
    );
}

#[test]
fn numbers_that_mean_nothing_are_refused() {
    let fact = |change: fn(&mut Fact)| {
        move |guest: &mut Guest| {
            guest.result.fact_count = 1;
            change(&mut guest.fact);
        }
    };
    contained(
        "numbers",
        vec![
            wrong_message("kind", "violation", |m| m.kind = 3),
            wrong_message("status", "violation", |m| m.status = 5),
            wrong_message("completeness", "violation", |m| m.completeness = 3),
            wrong_message("protocol", "violation", |m| m.protocol = 1),
            wrong_message("parts", "violation", |m| m.flags = message::BEGIN | message::FINISH),
            wrong_message("cancel_of_nothing", "violation", |m| m.flags = message::CANCEL),
            wrong_message("resource_facts", "violation", |m| {
                (m.resource, m.resource_facts) = (TEXT, 2);
            }),
            case("attribute_index", "violation", |guest| guest.attribute.index = 1),
            case("attribute_tag", "violation", |guest| guest.attribute.tag = 7),
            case("attribute_ref", "violation", |guest| {
                guest.attribute = Attribute { tag: 5, aux: 1, value: TEXT.to_value(), ..guest.attribute };
            }),
            case("fact_namespace", "violation", fact(|fact| fact.namespace = 1)),
            case("fact", None, fact(|_| {})),
            case("not_utf8", None, |guest| guest.message.type_name = Str { ptr: RESULT, len: 48 }),
        ],
    );
}

#[test]
fn verbs_that_do_not_go_with_their_operands_are_refused() {
    let verb = |verb, consumed, amount| {
        move |guest: &mut Guest| {
            guest.result = ParseResult { verb, consumed, amount, ..guest.result };
        }
    };
    contained(
        "verbs",
        vec![
            answer("no_progress", "violation", verb(verb::MORE, 0, 0)),
            answer("consumed_more", "violation", verb(verb::MORE, 61, 0)),
            answer("consumed_all", "violation", verb(verb::MORE, u32::MAX, 0)),
            answer("need_nothing", "violation", verb(verb::NEED, 0, 0)),
            answer("need_what_it_has", "violation", verb(verb::NEED, 0, 40)),
            answer("need_beyond_window", "violation", verb(verb::NEED, 0, 16_385)),
            answer("need_everything", "violation", verb(verb::NEED, 0, u64::MAX)),
            answer("skip_nothing", "violation", verb(verb::SKIP, 0, 0)),
            answer("unknown_verb", "violation", verb(10, 0, 0)),
            answer("found_in_parse", "violation", verb(verb::FOUND, 0, 0)),
            answer("lost_without_gap", "violation", verb(verb::LOST, 0, 0)),
            answer("resync_nowhere", "violation", |guest| {
                guest.result.verb = verb::INVALID;
                guest.resync =
                    "(i32.store (i32.const 1028) (local.get $len)) (i32.store (i32.const 1024) (i32.const 8))
                    (i32.const 1024)"
                        .to_owned();
            }),
        ],
    );
}

/// What is allowed, however odd, is no fault; and it does no harm.
#[test]
fn odd_but_allowed_answers_do_no_harm() {
    let verb = |verb, consumed, amount| {
        move |guest: &mut Guest| {
            guest.result = ParseResult { verb, consumed, amount, ..guest.result };
            guest.parse = "(i32.const 1024)".to_owned();
            guest.result.message_count = 0;
        }
    };
    let guests = [
        case("skip_everything", None, verb(verb::SKIP, 0, u64::MAX)),
        case("need_full_window", None, verb(verb::NEED, 0, 16_384)),
        case("reject", None, verb(verb::REJECT, 0, 0)),
        case("opaque", None, verb(verb::OPAQUE, 0, 0)),
        case("handover_nowhere", None, verb(verb::HANDOVER, 0, u64::MAX)),
        case("invalid_forever", None, verb(verb::INVALID, 0, 0)),
        case("end_far_ahead", None, |guest| {
            guest.parse += " (i64.store (i32.const 2056) (i64.const -1))";
        }),
        case("begins_far_ahead", None, |guest| {
            guest.parse += " (i64.store (i32.const 2048) (i64.const -1)) (i64.store (i32.const 2056) (i64.const -1))";
        }),
        case("only_parts", None, |guest| guest.message.flags = message::BEGIN),
        case("only_requests", None, |guest| guest.message.kind = 0),
        case("only_responses", None, |guest| guest.message.kind = 1),
    ];
    let folder = scratch("odd");
    let mut guests = guests.map(|(guest, _)| guest);
    guests.iter_mut().zip(7000..).for_each(|(guest, port)| guest.port = port);
    let capture = capture(&guests.each_ref().map(|guest| guest.port), |_| b'c');
    let files = guests.each_ref().map(|guest| guest.file(&folder));
    let outcome = read_with(&beside_kafka(&files), capture.clone(), 1);
    assert_kafka_is_untouched(&outcome, capture);
    for guest in guests {
        assert_eq!(outcome.faults(&guest.name), 0, "{}: {}", guest.name, outcome.plugin(&guest.name)["faults"]);
    }
}

/// One answer may hold so many messages, attributes and list elements, each with a string so long. Not all of it.
#[test]
fn an_answer_that_is_huge_in_sum_is_refused() {
    let mut guest = Guest::sound("huge", 7000);
    guest.manifest["attributes"] = serde_json::json!([{"name": "list", "type": "list"}]);
    // 1024 messages share 256 attributes, which share a list of 256 strings of 64 KiB: 4 TiB in all.
    guest.result = ParseResult { message_count: 1024, message_stride: 144, messages: 100_000, ..guest.result };
    guest.message.attributes = Str { ptr: 80_000, len: 256 };
    guest.attribute = Attribute { tag: 4, value: Str { ptr: 90_000, len: 256 }.to_value(), ..Attribute::default() };
    guest.more = "(global $n (mut i32) (i32.const 0))".to_owned();
    let repeat = |count: u32, from: u32, to: u32, size: u32| {
        format!(
            "(global.set $n (i32.const 0)) (loop $l (memory.copy
                (i32.add (i32.const {to}) (i32.mul (global.get $n) (i32.const {size}))) (i32.const {from}) (i32.const {size}))
                (global.set $n (i32.add (global.get $n) (i32.const 1)))
                (br_if $l (i32.lt_u (global.get $n) (i32.const {count}))))"
        )
    };
    guest.parse = format!(
        "{} {} (i32.store (i32.const 600) (i32.const 65536)) (i32.store (i32.const 604) (i32.const 65536)) {}
        (i32.store (i32.const 1028) (local.get $len)) (i32.const 1024)",
        repeat(1024, 2048, 100_000, 144),
        repeat(256, ATTRIBUTE, 80_000, 16),
        repeat(256, 600, 90_000, 8),
    );
    let capture = capture(&[7000], |_| b'c');
    let outcome = read_with(&beside_kafka(&[guest.file(&scratch("huge"))]), capture.clone(), 1);
    assert_kafka_is_untouched(&outcome, capture);
    assert!(outcome.faults("huge") > 0);
}
