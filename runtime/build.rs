//! Compiles the BPF programs of `bpf/` with clang, and makes Rust constants of the one header that describes what crosses
//! between kernel and user space, so that no layout is written down twice. Nothing else is generated: objects are
//! loaded by name through libbpf-rs, which needs neither a skeleton nor unsafe code.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return Ok(());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let sources = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../bpf");
    for file in
        ["kernel.h", "event.h", "calls.h", "copy.h", "maps.h", "put.h", "socket.h", "tls.h", "told.h", "trace.h"]
    {
        println!("cargo:rerun-if-changed={}", sources.join(file).display());
    }
    fs::write(out.join("event_layout.rs"), layout(&fs::read_to_string(sources.join("event.h"))?)?)?;
    for front_end in ["tp_btf", "tracepoint"] {
        let source = sources.join(front_end).with_extension("bpf.c");
        println!("cargo:rerun-if-changed={}", source.display());
        compile(&source, &sources, &out.join(front_end).with_extension("bpf.o"))?;
    }
    Ok(())
}

/// `-mcpu=v3`: what clang 14 takes by default, the verifier refuses (it loses the bounds of 32-bit comparisons).
fn compile(source: &Path, sources: &Path, object: &Path) -> Result<(), Box<dyn Error>> {
    let arch = match env::var("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => "x86",
        "aarch64" => "arm64",
        other => return Err(format!("capture through BPF knows no system call numbers of {other}").into()),
    };
    let headers = env::var("DEP_BPF_INCLUDE").map_err(|_| "libbpf-sys does not say where its headers are")?;
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let status = Command::new(&clang)
        .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-Wno-unused-function"])
        .arg(format!("-D__TARGET_ARCH_{arch}"))
        .arg(format!("-I{}", sources.display()))
        .arg(format!("-I{headers}"))
        .arg("-c")
        .arg(source)
        .arg("-o")
        .arg(object)
        .status()
        .map_err(|error| {
            format!("cannot run {clang}, which compiles the BPF programs (apt-get install clang): {error}")
        })?;
    if status.success() { Ok(()) } else { Err(format!("{clang} could not compile the BPF programs").into()) }
}

/// Constants of a header that keeps to one field, value or macro a line.
fn layout(header: &str) -> Result<String, Box<dyn Error>> {
    let (mut text, mut offset, mut within) = (String::new(), 0, None);
    for line in header.lines().map(str::trim) {
        let words: Vec<&str> = line.trim_end_matches([';', ',']).split_whitespace().collect();
        match words.as_slice() {
            ["#define", name, value] => writeln!(text, "pub(in crate::capture::trace) const {name}: u64 = {value};")?,
            ["struct", name, "{"] => (within, offset) = (Some(name.to_uppercase()), 0),
            ["}"] => {
                if let Some(name) = within.take() {
                    writeln!(text, "pub(in crate::capture::trace) const {name}_SIZE: usize = {offset};")?;
                }
            }
            [kind, name] if within.is_some() && kind.starts_with("__u") => {
                let of = within.as_deref().unwrap_or_default();
                let (name, count) = match name.split_once('[') {
                    Some((name, count)) => (name, count.trim_end_matches(']').parse()?),
                    None => (*name, 1),
                };
                let size = kind.trim_start_matches("__u").parse::<usize>()? / 8;
                if offset % size != 0 {
                    return Err(format!("field {name} of struct {of} is not aligned").into());
                }
                writeln!(
                    text,
                    "pub(in crate::capture::trace) const {of}_FIELD_{}: usize = {offset};",
                    name.to_uppercase()
                )?;
                offset += size * count;
            }
            [name, "=", value] => writeln!(text, "pub(in crate::capture::trace) const {name}: u64 = {value};")?,
            _ => {}
        }
    }
    Ok(text)
}
