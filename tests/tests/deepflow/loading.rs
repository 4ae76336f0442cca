//! What is loaded, what is refused, and what `protap plugins list` says of both.

use std::path::PathBuf;

use protap::plugin::Plugin;
use protap_e2e::artifacts::{deepflow_guest, plugin, scratch};
use protap_e2e::conversation::conversation;
use protap_e2e::deepflow::WatGuest;
use protap_e2e::engine::wasm_engine;
use protap_e2e::program::{command, finished, text};
use serde_json::Value;

use super::{BEGIN, run};

/// Every function of WASI preview 1 that toolchains are known to import, with its parameters.
const WASI: [(&str, &str); 46] = [
    ("args_get", "i32 i32"),
    ("args_sizes_get", "i32 i32"),
    ("clock_res_get", "i32 i32"),
    ("clock_time_get", "i32 i64 i32"),
    ("environ_get", "i32 i32"),
    ("environ_sizes_get", "i32 i32"),
    ("fd_advise", "i32 i64 i64 i32"),
    ("fd_allocate", "i32 i64 i64"),
    ("fd_close", "i32"),
    ("fd_datasync", "i32"),
    ("fd_fdstat_get", "i32 i32"),
    ("fd_fdstat_set_flags", "i32 i32"),
    ("fd_fdstat_set_rights", "i32 i64 i64"),
    ("fd_filestat_get", "i32 i32"),
    ("fd_filestat_set_size", "i32 i64"),
    ("fd_filestat_set_times", "i32 i64 i64 i32"),
    ("fd_pread", "i32 i32 i32 i64 i32"),
    ("fd_prestat_dir_name", "i32 i32 i32"),
    ("fd_prestat_get", "i32 i32"),
    ("fd_pwrite", "i32 i32 i32 i64 i32"),
    ("fd_read", "i32 i32 i32 i32"),
    ("fd_readdir", "i32 i32 i32 i64 i32"),
    ("fd_renumber", "i32 i32"),
    ("fd_seek", "i32 i64 i32 i32"),
    ("fd_sync", "i32"),
    ("fd_tell", "i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("path_create_directory", "i32 i32 i32"),
    ("path_filestat_get", "i32 i32 i32 i32 i32"),
    ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32"),
    ("path_link", "i32 i32 i32 i32 i32 i32 i32"),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
    ("path_readlink", "i32 i32 i32 i32 i32 i32"),
    ("path_remove_directory", "i32 i32 i32"),
    ("path_rename", "i32 i32 i32 i32 i32 i32"),
    ("path_symlink", "i32 i32 i32 i32 i32"),
    ("path_unlink_file", "i32 i32 i32"),
    ("poll_oneoff", "i32 i32 i32 i32"),
    ("proc_exit", "i32"),
    ("proc_raise", "i32"),
    ("random_get", "i32 i32"),
    ("sched_yield", ""),
    ("sock_accept", "i32 i32 i32"),
    ("sock_recv", "i32 i32 i32 i32 i32 i32"),
    ("sock_send", "i32 i32 i32 i32 i32"),
    ("sock_shutdown", "i32 i32"),
];

fn case(name: &str, change: impl FnOnce(&mut WatGuest)) -> PathBuf {
    let mut guest = WatGuest::sound(name, b'c');
    change(&mut guest);
    guest.file(&scratch("deepflow-loading"))
}

fn wasi_import(name: &str, parameters: &str) -> String {
    let result = if name == "proc_exit" { "" } else { "(result i32)" };
    format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param {parameters}) {result}))")
}

#[test]
fn commands_and_reactors_load_whatever_of_wasi_they_import() {
    let all: String = WASI.iter().map(|(name, parameters)| wasi_import(name, parameters)).collect();
    let exit = "(call $proc_exit (i32.const 0)) (unreachable)".to_owned();
    for file in [
        case("command", |_| {}),
        case("reactor", |guest| guest.start_name = "_initialize"),
        case("wasi", |guest| guest.imports = all.clone()),
        case("exit", |guest| (guest.imports, guest.start) = (all.clone(), exit)),
    ] {
        let outcome = run(&[&file], &conversation(20_000, 7000, b'c', BEGIN));
        assert_eq!(outcome.records.len(), 5, "{}", file.display());
        assert!(outcome.records.parsed().iter().all(|record| record["kind"] == "session"));
    }
}

#[test]
fn what_cannot_work_is_refused_and_the_reason_named() {
    let import = |import: &str| import.to_owned();
    for (file, why) in [
        (case("env", |guest| guest.imports = import(r#"(import "env" "f" (func))"#)), "`env.f`"),
        (case("newer", |guest| guest.imports = import(r#"(import "deepflow" "vm_new" (func))"#)), "`deepflow.vm_new`"),
        (case("table", |guest| guest.imports = import(r#"(import "deepflow" "wasm_log" (table 1 funcref))"#)), "table"),
        (case("no_start", |guest| guest.start_name = "begin"), "`_start`"),
        (case("hang", |guest| guest.start = "(loop $l (br $l))".to_owned()), "its start fails"),
        (case("trap", |guest| guest.start = "unreachable".to_owned()), "its start fails"),
        (
            case("exit1", |guest| {
                guest.imports = wasi_import("proc_exit", "i32");
                guest.start = "(call $proc_exit (i32.const 1))".to_owned();
            }),
            "proc_exit(1)",
        ),
        (case("wild_hooks", |guest| guest.bitmap = "(i32.const 0xfffffff8)".to_owned()), "out of its memory"),
    ] {
        let error = Plugin::load(wasm_engine(), &file).expect_err("it is refused").to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn the_list_says_what_each_file_is_and_what_becomes_of_it() {
    let broken = case("broken", |guest| guest.start_name = "begin");
    let folder = scratch("deepflow-twin");
    std::fs::copy(deepflow_guest("l4"), folder.join("l4.wasm")).expect("it can be copied");
    let files = [deepflow_guest("l4"), deepflow_guest("l0"), plugin("kafka"), folder.join("l4.wasm"), broken];
    let mut arguments = vec!["plugins", "list", "--json"];
    files.iter().for_each(|file| arguments.extend(["-p", text(file)]));
    let run = finished(command(&arguments).output().expect("the program starts"));
    let rows: Vec<Value> = serde_json::from_str(&run.out).expect("JSON");
    let column = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("name"), ["l4", "l0", "kafka", "l4", "broken"]);
    assert_eq!(column("abi")[..3], ["deepflow", "deepflow", "protap 1.0"]);
    assert_eq!(column("era")[..3], [Value::from("L3 or later"), "L0 or L1".into(), Value::Null]);
    assert_eq!(rows[0]["hooks"], serde_json::json!(["payload", "http_req", "http_resp", "custom(40)"]));
    let states = column("state");
    for (state, what) in states.iter().zip(["ready, but", "ready, but", "ready", "not used", "refused"]) {
        assert!(state.as_str().is_some_and(|state| state.starts_with(what)), "{state}");
    }
    assert_ne!(run.status, 0);
}
