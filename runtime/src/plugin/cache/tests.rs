//! What is believed and what is not. Every test has a folder of its own.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use wasmtime::{Config, Engine, Module};

use super::{ModuleCache, compiled_part, entry};

fn module() -> Vec<u8> {
    wat::parse_str("(module (func (export \"seven\") (result i32) (i32.const 7)))").unwrap()
}

/// An empty place for the cache of a test.
fn place(test: &str) -> PathBuf {
    let path = std::env::temp_dir().canonicalize().unwrap().join(format!("protap-cache-{test}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn fill(path: &Path, engine: &Engine) -> ModuleCache {
    let cache = ModuleCache::open(path).unwrap();
    cache.store(engine, &module(), &Module::new(engine, module()).unwrap());
    cache
}

fn only_entry(path: &Path) -> PathBuf {
    let entries: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}

#[test]
fn a_module_is_found_again_by_its_content_and_settings() {
    let (path, engine) = (place("found"), Engine::default());
    let cache = fill(&path, &engine);
    assert!(cache.load(&engine, &module()).is_some_and(|module| module.exports().len() == 1));
    assert!(cache.load(&engine, &wat::parse_str("(module)").unwrap()).is_none());
    let other = Engine::new(Config::new().consume_fuel(true)).unwrap();
    assert!(cache.load(&other, &module()).is_none());
    assert!(ModuleCache::open(&path).unwrap().load(&engine, &module()).is_some());
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn a_damaged_entry_is_ignored_and_rewritten() {
    let (path, engine) = (place("damaged"), Engine::default());
    let cache = fill(&path, &engine);
    let file = only_entry(&path);
    let whole = std::fs::read(&file).unwrap();
    for at in [0, 9, 17, 25, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&file, damaged).unwrap();
        assert!(cache.load(&engine, &module()).is_none(), "byte {at}");
    }
    for len in [0, 7, 19, 20, whole.len() - 1] {
        std::fs::write(&file, &whole[..len]).unwrap();
        assert!(cache.load(&engine, &module()).is_none(), "{len} bytes");
    }
    let cache = fill(&path, &engine);
    assert!(cache.load(&engine, &module()).is_some());
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn an_entry_of_another_module_is_none_of_this_one() {
    assert_eq!(compiled_part(&entry(b"one", b"native"), b"one"), Some(&b"native"[..]));
    assert_eq!(compiled_part(&entry(b"two", b"native"), b"one"), None);
    assert_eq!(compiled_part(&entry(b"on", b"enative"), b"one"), None);
}

#[test]
fn a_folder_or_file_that_others_can_write_to_is_not_believed() {
    let (path, engine) = (place("open"), Engine::default());
    let cache = fill(&path, &engine);
    let file = only_entry(&path);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o620)).unwrap();
    assert!(cache.load(&engine, &module()).is_none());
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(cache.load(&engine, &module()).is_some());
    for mode in [0o750, 0o701, 0o777] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        assert!(ModuleCache::open(&path).is_none(), "{mode:o}");
    }
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn symbolic_links_are_not_followed() {
    let (path, engine) = (place("link"), Engine::default());
    drop(fill(&path, &engine));
    let link = place("link-to-folder");
    let _ = std::fs::remove_file(&link);
    symlink(&path, &link).unwrap();
    assert!(ModuleCache::open(&link).is_none());
    let (file, moved) = (only_entry(&path), place("link-target"));
    std::fs::rename(&file, &moved).unwrap();
    symlink(&moved, &file).unwrap();
    assert!(ModuleCache::open(&path).unwrap().load(&engine, &module()).is_none());
    std::fs::remove_file(link).unwrap();
    std::fs::remove_file(moved).unwrap();
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn there_are_never_too_many_entries() {
    let (path, engine) = (place("many"), Engine::default());
    let cache = ModuleCache::open(&path).unwrap();
    for n in 0..80 {
        let module = wat::parse_str(format!("(module (global i32 (i32.const {n})))")).unwrap();
        cache.store(&engine, &module, &Module::new(&engine, &module).unwrap());
    }
    assert!(std::fs::read_dir(&path).unwrap().count() <= super::MAX_ENTRIES);
    std::fs::remove_dir_all(path).unwrap();
}
