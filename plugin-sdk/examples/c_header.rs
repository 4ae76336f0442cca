//! Prints the contract as a C header: constants, structs with their sizes and offsets asserted, prototypes of exports
//! and imports, and the macro that puts a manifest into its section. Everything comes from `protap_plugin::contract`;
//! `make header` writes it to `target/include/protap_plugin.h`.

use protap_plugin::contract::functions::{EXPORTS, Function, IMPORTS, ValueType};
use protap_plugin::contract::{self, Attribute, Fact, Layout, Message, NUMBERS, ParseResult, memory};

const HEAD: &str = r#"/* The contract between protap and its plugins, for C11. Generated from the contract's one definition; CONTRACT.md says what
 * it all means. A plugin defines every function that is declared here as an export, and names its manifest once:
 *
 *     PROTAP_MANIFEST({"contract": PROTAP_CONTRACT, "name": "mine", "version": "1"})
 *
 * clang --target=wasm32 -ffreestanding -nostdlib -O2 -c mine.c && wasm-ld --no-entry --stack-first mine.o -o mine.wasm
 */
#ifndef PROTAP_PLUGIN_H
#define PROTAP_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#if defined(__wasm__)
#define PROTAP_EXPORT(name) __attribute__((export_name(name)))
#define PROTAP_IMPORT(name) __attribute__((import_module(PROTAP_IMPORT_MODULE), import_name(name)))
#else /* to be checked or tested natively */
#define PROTAP_EXPORT(name)
#define PROTAP_IMPORT(name)
#endif

/* The manifest, JSON as it is: the preprocessor puts it into its custom section. (Data that C puts into a section of that
 * name become data of the module, so the assembler is asked.) */
#if defined(__wasm__)
#define PROTAP_MANIFEST(...) PROTAP_MANIFEST_1(__VA_ARGS__)
#define PROTAP_MANIFEST_1(...) PROTAP_MANIFEST_2(#__VA_ARGS__)
#define PROTAP_MANIFEST_2(json) \
    __asm__(".section .custom_section." PROTAP_MANIFEST_SECTION ",\"\",@\n.ascii " #json "\n");
#else
#define PROTAP_MANIFEST(...)
#endif
"#;

const STR: &str = r"
/* A string or an array in the plugin's memory: address, and length in bytes (of an array: number of elements). Both 0:
 * absent. */
typedef struct protap_str {
    uint32_t ptr;
    uint32_t len;
} protap_str;
_Static_assert(sizeof(protap_str) == 8, ";

fn main() {
    println!("{HEAD}");
    println!("#define PROTAP_CONTRACT \"{}\"", contract::VERSION);
    println!("#define PROTAP_IMPORT_MODULE \"{}\"", contract::IMPORT_MODULE);
    println!("#define PROTAP_MANIFEST_SECTION \"{}\"", contract::MANIFEST_SECTION);
    limits();
    for numbers in NUMBERS {
        comment("\n", numbers.doc);
        let module = numbers.module.to_uppercase();
        for (name, value, doc) in numbers.constants {
            comment("", doc);
            println!("#define PROTAP_{module}_{name} {value}");
        }
    }
    println!("{STR}\"protap_str\");");
    for layout in [ParseResult::LAYOUT, Message::LAYOUT, Attribute::LAYOUT, Fact::LAYOUT] {
        structure(&layout);
    }
    println!("\n/* Exports: a plugin defines all of these. */");
    EXPORTS.iter().for_each(|function| prototype("EXPORT", function.name, function));
    println!("\n/* Imports: what a plugin may call. */");
    IMPORTS.iter().for_each(|function| prototype("IMPORT", &format!("protap_{}", function.name), function));
    println!("\n#endif");
}

fn limits() {
    println!("\n/* Limits. */");
    for (name, value) in [
        ("DEFAULT_WINDOW", u64::from(contract::DEFAULT_WINDOW)),
        ("MAX_WINDOW", u64::from(contract::MAX_WINDOW)),
        ("MAX_CONTEXT", contract::MAX_CONTEXT as u64),
        ("MAX_MESSAGES", u64::from(memory::MAX_MESSAGES)),
        ("MAX_FACTS", u64::from(memory::MAX_FACTS)),
        ("MAX_ATTRIBUTES", u64::from(memory::MAX_ATTRIBUTES)),
        ("MAX_LIST", u64::from(memory::MAX_LIST)),
        ("MAX_STR", u64::from(memory::MAX_STR)),
        ("MAX_ANSWER", u64::from(memory::MAX_ANSWER)),
    ] {
        println!("#define PROTAP_{name} {value}");
    }
}

/// Prints documentation as a comment: without the marks that rustdoc reads, and paths as C names them.
fn comment(before: &str, doc: &[&str]) {
    let text: Vec<String> = doc.iter().map(|line| line.trim().replace("super::", "").replace("::", ".")).collect();
    println!("{before}/* {} */", text.join("\n * ").replace(['`', '[', ']'], ""));
}

fn structure(layout: &Layout) {
    let name = format!("protap_{}", snake_case(layout.name));
    comment("\n", layout.doc);
    println!("typedef struct {name} {{");
    for (field, ty, _, doc) in layout.fields {
        comment("    ", doc);
        let ty = match *ty {
            "Str" => "protap_str".to_owned(),
            unsigned if unsigned.starts_with('u') => format!("uint{}_t", &unsigned[1..]),
            signed => format!("int{}_t", &signed[1..]),
        };
        println!("    {ty} {field};");
    }
    println!("}} {name};");
    println!("_Static_assert(sizeof({name}) == {}, \"{name}\");", layout.size);
    for (field, _, offset, _) in layout.fields {
        println!("_Static_assert(offsetof({name}, {field}) == {offset}, \"{name}.{field}\");");
    }
}

fn prototype(kind: &str, c_name: &str, function: &Function) {
    let ty = |ty: &ValueType| match ty {
        ValueType::I32 => "uint32_t",
        ValueType::I64 => "uint64_t",
    };
    let result = function.result.as_ref().map_or("void", ty);
    // What may be negative: the number that says that there is none.
    let result = if kind == "IMPORT" { result.replace("uint", "int") } else { result.to_owned() };
    let parameters: Vec<String> =
        function.parameters.iter().map(|(name, parameter)| format!("{} {name}", ty(parameter))).collect();
    println!("PROTAP_{kind}(\"{}\") {result} {c_name}({});", function.name, parameters.join(", "));
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}
