//! What the program says when it cannot do what it is asked: one line that names the thing and says what to do, exit
//! status 2 for a wrong use and 1 for a failure, and never a panic.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use protap_e2e::artifacts::{fixture, plugin, plugin_folder, program, scratch};
use protap_e2e::engine;
use protap_e2e::hostile::Guest;
use protap_e2e::pcap::{Capture, read_plain};
use protap_e2e::program::{Run, command, finished, run, run_with_input, text};

const GOOD: &str = "kafka/noida_kcat171";

/// It ended with that status and one line that has all these words.
#[track_caller]
fn assert_refused(run: &Run, status: i32, words: &[&str]) {
    assert_eq!(run.err.lines().count(), 1, "not one line: {run:?}");
    assert!(run.err.starts_with("protap: "), "{run:?}");
    for word in words {
        assert!(run.err.contains(word), "no {word:?} in {run:?}");
    }
    assert_eq!(run.status, status, "{run:?}");
}

fn file(test: &str, name: &str, bytes: &[u8]) -> PathBuf {
    let path = scratch(test).join(name);
    fs::write(&path, bytes).expect("the folder for temporary files can be written to");
    path
}

fn good() -> PathBuf {
    fixture(GOOD).path
}

fn records() -> String {
    let run = run(&["read", text(&good())]);
    assert_eq!((run.status, run.err.as_str()), (0, ""));
    run.out
}

#[test]
fn an_empty_file_is_named() {
    let path = file("empty", "empty.pcap", b"");
    assert_refused(&run(&["read", text(&path)]), 1, &["empty.pcap is empty", "tcpdump -w"]);
}

#[test]
fn a_file_that_is_no_capture_is_named_and_what_it_begins_with() {
    let path = file("text", "notes.txt", b"Dear diary, today I captured nothing at all.\n");
    assert_refused(&run(&["read", text(&path)]), 1, &["notes.txt is not a capture", "Dear diary", "tcpdump -w"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    assert_refused(&run(&["read", "/nowhere/x.pcap"]), 1, &["cannot open /nowhere/x.pcap", "No such file"]);
    let folder = scratch("folder");
    assert_refused(&run(&["read", text(&folder)]), 1, &[text(&folder), "directory"]);
}

#[test]
fn a_capture_that_was_cut_off_keeps_its_records() {
    let bytes = fs::read(good()).expect("a fixture");
    let whole = records();
    for cut in [1, 20, bytes.len() / 2] {
        let path = file("cut", &format!("cut-{cut}.pcap"), &bytes[..bytes.len() - cut]);
        let run = run(&["read", text(&path)]);
        assert_refused(&run, 1, &["is cut off", "packets before it were read"]);
        let same = whole.lines().zip(run.out.lines()).take_while(|(whole, cut)| whole == cut).count();
        assert!(same + 1 >= run.out.lines().count() && same >= 3, "other records before the cut: {}", run.out);
    }
}

#[test]
fn a_file_that_cannot_be_read_does_not_keep_the_others_from_being_read() {
    let run = run(&["read", "/nowhere/x.pcap", text(&good())]);
    assert_refused(&run, 1, &["/nowhere/x.pcap"]);
    assert_eq!(run.out, records());
}

#[test]
fn standard_input_is_a_capture_like_any_other() {
    let bytes = fs::read(good()).expect("a fixture");
    let whole = run_with_input(&["read", "-"], &bytes);
    assert_eq!((whole.status, whole.out), (0, records()));
    assert_refused(&run_with_input(&["read", "-"], &bytes[..1000]), 1, &["standard input is cut off"]);
    assert_refused(&run_with_input(&["read", "-"], b""), 1, &["standard input is empty"]);
}

#[test]
fn a_linktype_that_cannot_be_decoded_is_named() {
    let mut capture = Capture::parse(&read_plain(&good())).expect("a pcap file");
    capture.linktype = 105;
    let path = file("linktype", "wifi.pcap", &capture.to_bytes());
    assert_refused(&run(&["read", text(&path)]), 1, &["wifi.pcap has linktype 105", "IEEE802_11", "Ethernet"]);
}

#[test]
fn damage_in_a_capture_is_told_by_its_place() {
    let mut bytes = fs::read(good()).expect("a fixture");
    // The length of the first packet.
    bytes[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    let path = file("damage", "damaged.pcap", &bytes);
    assert_refused(&run(&["read", text(&path)]), 1, &["damaged.pcap is damaged at byte 24"]);
}

#[test]
fn no_byte_brings_the_program_or_a_plugin_down() {
    let bytes = fs::read(good()).expect("a fixture");
    for at in (0..bytes.len()).step_by(5) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        let outcome = engine::read(damaged);
        assert!(outcome.errors.len() <= 1 && outcome.faults("kafka") == 0, "byte {at}: {:?}", outcome.errors);
    }
}

#[test]
fn an_interface_that_is_not_there_is_named_with_those_that_are() {
    assert_refused(&run(&["live", "-i", "nosuch0"]), 1, &["nosuch0", "there are: ", "lo"]);
}

#[test]
fn a_bad_filter_is_refused_before_the_capture_starts() {
    let run = run(&["live", "-i", "lo", "tcp prot 80"]);
    if run.err.contains("no permission") {
        return println!("skipped: no permission to capture");
    }
    assert_refused(&run, 2, &["filter", "tcp prot 80", "pcap-filter"]);
}

#[test]
fn without_permission_to_capture_it_says_what_to_do() {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let refused = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]);
        let Ok(output) = command.arg(program()).args(["live", "-i", "lo", "-q", "-p"]).arg(plugin_folder()).output()
        else {
            return println!("skipped: root, and setpriv is not installed");
        };
        finished(output)
    } else {
        run(&["live", "-i", "lo", "-c", "1", "--duration", "1"])
    };
    if refused.status == 0 {
        return println!("skipped: everybody may capture here");
    }
    if refused.err.contains("setpriv") || refused.err.contains("cannot read") {
        return println!("skipped: nobody may not even run the program: {}", refused.err);
    }
    assert_refused(&refused, 1, &["no permission to capture on lo", "setcap"]);
}

#[test]
fn a_wrong_use_is_told_from_a_failure() {
    for arguments in [&["--nonsense"] as &[&str], &["read"], &["live"], &["read", "x", "--workers", "0"]] {
        let run = finished(command(arguments).output().expect("it starts"));
        assert_eq!(run.status, 2, "{run:?}");
        assert!(run.err.contains("Usage") || run.err.contains("--help"), "{run:?}");
    }
}

#[test]
fn a_bad_order_says_what_is_expected() {
    let good = good();
    for (order, words) in [
        ("9093", "expected tcp.port==N,PLUGIN"),
        ("tcp.port=9093,kafka", "expected tcp.port==N,PLUGIN"),
        ("sctp.port==9093,kafka", "expected tcp.port or udp.port"),
        ("tcp.port==93000,kafka", "not a number from 0 to 65535"),
        ("tcp.port==9093,kafak", "no loaded plugin has that name"),
    ] {
        assert_refused(&run(&["read", text(&good), "-d", order]), 2, &[order, words]);
    }
    assert_refused(&run(&["read", text(&good), "--plugin-opt", "kafka"]), 2, &["expected PLUGIN.KEY=VALUE"]);
    assert_refused(&run(&["read", text(&good), "--plugin-opt", "nats.x=y"]), 2, &["nats", "not loaded"]);
}

#[test]
fn a_folder_without_plugins_is_named() {
    let folder = scratch("no-plugins").join("here");
    fs::create_dir_all(&folder).expect("the folder for temporary files can be written to");
    let refused = run(&["read", text(&good()), "-p", text(&folder)]);
    assert_refused(&refused, 1, &["no .wasm file in", text(&folder), "--plugin"]);
    assert_refused(&run(&["read", text(&good()), "-p", "/nowhere/x.wasm"]), 1, &["/nowhere/x.wasm", "No such file"]);
}

#[test]
fn a_capture_is_not_written_over_while_it_is_read() {
    let folder = scratch("written-over");
    let (capture, link) = (folder.join("capture.pcap"), folder.join("link.pcap"));
    let bytes = read_plain(&good());
    fs::write(&capture, &bytes).expect("the folder for temporary files can be written to");
    let _ = fs::remove_file(&link);
    fs::hard_link(&capture, &link).expect("the folder takes links");
    for option in ["-w", "--stats-json"] {
        for output in [&capture, &link] {
            let refused = run(&["read", text(&good()), text(&capture), option, text(output)]);
            assert_refused(&refused, 2, &[text(output), "a capture that is read"]);
        }
        assert_refused(&run(&["read", text(&capture), option, "-"]), 2, &["standard output has the records"]);
    }
    assert!(fs::read(&capture).expect("it is still there") == bytes);
    let (output, link) = (folder.join("new"), folder.join("also-new"));
    let _ = (fs::remove_file(&output), fs::remove_file(&link));
    for is_there in [false, true] {
        let roundabout = folder.join("..").join(folder.file_name().expect("it has a name")).join("new");
        let second = if is_there { &link } else { &roundabout };
        let refused = run(&["read", text(&capture), "-w", text(&output), "--stats-json", text(second)]);
        assert_refused(&refused, 2, &["--write and --stats-json: both are", text(second)]);
        fs::write(&output, b"").expect("the folder for temporary files can be written to");
        let _ = fs::hard_link(&output, &link);
    }
    for option in ["--count", "--max-flows"] {
        assert_eq!(run(&["read", text(&capture), option, "0"]).status, 2, "{option} 0");
    }
}

/// Root's rights are given up at once: what they were needed for goes on.
#[test]
fn what_only_root_may_open_is_opened_before_rights_are_given_up() {
    const NOBODY: u32 = 65_534;
    let folder = scratch("private");
    let (capture, plugins) = (folder.join("capture.pcap"), folder.join("plugins"));
    fs::write(&capture, read_plain(&good())).expect("the folder for temporary files can be written to");
    fs::create_dir_all(&plugins).expect("the folder for temporary files can be written to");
    fs::copy(plugin("kafka"), plugins.join("kafka.wasm")).expect("the folder for temporary files can be written to");
    for path in [&capture, &plugins] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let owned = fs::set_permissions(path, mode).and_then(|()| std::os::unix::fs::chown(path, Some(NOBODY), None));
        if let Err(error) = owned {
            println!("skipped: only root can try that: {error}");
            return;
        }
    }
    let read = |workers| run(&["read", "--workers", workers, text(&capture)]);
    let (one, two) = (read("1"), read("2"));
    assert_eq!((one.status, one.err.as_str(), one.out == records()), (0, "", true));
    assert_eq!((two.status, two.err.as_str(), two.out == one.out), (0, "", true));
    let live = run(&["live", "-i", "lo", "--duration", "2", "-p", text(&plugins)]);
    if live.status == 1 && live.err.contains("no permission") {
        println!("skipped: {}", live.err);
        return;
    }
    assert!(live.status == 0 && !live.err.contains("removed"), "{}", live.err);
    assert_eq!(live.err.matches("what was there before stays").count(), 1, "{}", live.err);
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn a_folder_may_be_empty_when_a_live_capture_begins() {
    let folder = scratch("no-plugins-yet").join("here");
    fs::create_dir_all(&folder).expect("the folder for temporary files can be written to");
    let live = run(&["live", "-i", "lo", "--duration", "1", "-p", text(&folder)]);
    if live.status == 1 && live.err.contains("no permission") {
        println!("skipped: {}", live.err);
        return;
    }
    assert_eq!((live.status, live.out.as_str()), (0, ""), "{}", live.err);
    assert!(live.err.contains("no plugin in") && live.err.contains("yet"), "{}", live.err);
    let _ = fs::remove_dir(&folder);
    assert_refused(&run(&["live", "-i", "lo", "-p", text(&folder)]), 1, &[text(&folder)]);
}

#[test]
fn a_file_that_is_no_plugin_says_why() {
    let load = |path: &Path| run(&["read", text(&good()), "-p", text(path)]);
    let guest = |test: &str, change: &dyn Fn(&mut Guest)| {
        let mut guest = Guest::sound("odd", 7000);
        change(&mut guest);
        load(&guest.file(&scratch(test)))
    };
    let empty = wat::parse_str("(module)").expect("WAT");
    let component = wat::parse_str("(component)").expect("WAT");
    for (refused, words) in [
        (load(&file("not-wasm", "text.wasm", b"I am no module.")), ["text.wasm", "not a WebAssembly module"]),
        (load(&file("empty-wasm", "empty.wasm", b"")), ["empty.wasm", "not a"]),
        (load(&file("module", "module.wasm", &empty)), ["not a protap plugin", "protap.manifest"]),
        (load(&file("component", "component.wasm", &component)), ["a WebAssembly component", "wasm32-unknown-unknown"]),
        (guest("contract", &|guest| guest.manifest["contract"] = "9.0".into()), ["built for contract 9.0", "rebuild"]),
        (guest("manifest", &|guest| guest.manifest = "odd".into()), ["odd.wasm", "manifest"]),
        (guest("name", &|guest| guest.manifest["name"] = "a b".into()), ["odd.wasm", "names must be"]),
        (guest("export", &|guest| guest.unexported.push("protap_parse")), ["does not export `protap_parse`", "1.0"]),
        (guest("memory-export", &|guest| guest.unexported.push("memory")), ["does not export `memory`", "1.0"]),
        (
            guest("import", &|guest| guest.imports = r#"(import "env" "socket" (func (param i32)))"#.to_owned()),
            ["it imports `env.socket`", "does not offer"],
        ),
        (
            guest("wasi", &|guest| {
                guest.imports = r#"(import "wasi_snapshot_preview1" "path_open" (func))"#.to_owned();
            }),
            ["it imports `wasi_snapshot_preview1.path_open`", "does not offer"],
        ),
    ] {
        assert_refused(&refused, 1, &words);
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let good = good();
    assert_refused(&run(&["read", text(&good), "-w", "/nowhere/x.pcapng"]), 1, &["cannot write /nowhere/x.pcapng"]);
    let refused = run(&["read", text(&good), "--stats-json", "/nowhere/x.json"]);
    assert_refused(&refused, 1, &["cannot write /nowhere/x.json"]);
    assert_eq!(refused.out, "", "it is found out before the work is done");
    assert_refused(&run(&["read", text(&good), "-w", "/dev/full"]), 1, &["cannot write", "/dev/full"]);
}

#[test]
fn files_that_begin_with_a_dot_are_no_plugins() {
    let folder = scratch("hidden-plugin");
    fs::copy(plugin("kafka"), folder.join("kafka.wasm")).expect("the folder for temporary files can be written to");
    fs::write(folder.join("._kafka.wasm"), b"what a Mac leaves").expect("the folder can be written to");
    let read = run(&["read", text(&good()), "-p", text(&folder)]);
    assert_eq!((read.status, read.err.as_str(), read.out == records()), (0, "", true));
}

#[test]
fn a_broken_file_in_a_folder_is_told_and_the_others_are_used() {
    let folder = scratch("broken-plugin");
    fs::copy(plugin("kafka"), folder.join("kafka.wasm")).expect("the folder for temporary files can be written to");
    fs::write(folder.join("bro\u{1b}[31mken.wasm"), b"I am no module.").expect("the folder can be written to");
    let read = run(&["read", text(&good()), "-p", text(&folder)]);
    assert_eq!((read.status, read.out == records()), (0, true), "{}", read.err);
    assert!(read.err.contains("bro\\u{1b}[31mken.wasm") && read.err.contains("it is not used"), "{}", read.err);
    fs::remove_file(folder.join("kafka.wasm")).expect("it is there");
    let read = run(&["read", text(&good()), "-p", text(&folder)]);
    assert_eq!((read.status, read.out.as_str()), (1, ""), "{}", read.err);
    assert!(read.err.ends_with("protap: no plugin is left\n"), "{}", read.err);
}

/// `protap read ... | head -n 1`.
#[test]
fn a_closed_pipe_is_quiet() {
    let captures = ["kafka/tansusqlite_ck216_comp", "kafka/noida_ck216_midstream", "mongodb/secantus_pm420_midstream"]
        .map(|name| fixture(name).path);
    let folder = plugin_folder();
    let mut arguments = vec!["read", "-q", "-o", "json", "-p", text(&folder)];
    arguments.extend(captures.iter().map(|path| text(path)));
    let mut child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    out.read_line(&mut line).expect("a first record");
    drop(out);
    let mut err = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut err).expect("UTF-8");
    let status = child.wait().expect("it ends");
    assert!(line.starts_with('{'), "{line}");
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
}
