//! Where things are: the program and the plugins that `make test` built before, the captures of `tests/captures/`,
//! and captures outside of the repository, if there are any.

use std::path::{Path, PathBuf};

/// The workspace's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_owned()
}

/// The program, as cargo built it beside this test; `PROTAP_BIN` names another.
#[must_use]
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("PROTAP_BIN") {
        return existing(PathBuf::from(path));
    }
    // This test is target/PROFILE/deps/e2e-HASH, wherever the target folder is.
    let test = std::env::current_exe().expect("a running program has a path");
    existing(test.parent().and_then(Path::parent).expect("a test has a profile's folder").join("protap"))
}

/// The folder of the plugins; `PROTAP_TEST_PLUGINS` names another.
#[must_use]
pub fn plugin_folder() -> PathBuf {
    let default = || root().join("target/plugins");
    existing(std::env::var_os("PROTAP_TEST_PLUGINS").map_or_else(default, PathBuf::from))
}

/// A plugin by its name.
#[must_use]
pub fn plugin(name: &str) -> PathBuf {
    existing(plugin_folder().join(format!("{name}.wasm")))
}

/// A plugin of `tests/plugins/`, by its name.
#[must_use]
pub fn test_plugin(name: &str) -> PathBuf {
    existing(root().join("target/test-plugins").join(format!("{name}.wasm")))
}

/// An example, by its name.
#[must_use]
pub fn example_plugin(name: &str) -> PathBuf {
    existing(root().join("target/example-plugins").join(format!("{name}.wasm")))
}

/// A plugin of `tests/guests/c/`, by its name.
#[must_use]
pub fn c_guest(name: &str) -> PathBuf {
    existing(root().join("target/guests").join(format!("{name}.wasm")))
}

/// A plugin for DeepFlow's ABI, by its era.
#[must_use]
pub fn deepflow_guest(era: &str) -> PathBuf {
    existing(root().join("target/deepflow-guests").join(format!("{era}.wasm")))
}

/// The frozen versions of the contract: for each, its folder in `tests/frozen/` and the plugin built from it.
#[must_use]
pub fn frozen() -> Vec<(PathBuf, PathBuf)> {
    let entries = std::fs::read_dir(root().join("tests/frozen")).expect("there is a folder of frozen versions");
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    let built = |folder: &Path| root().join("target/frozen").join(folder.file_name().unwrap_or_default());
    folders.into_iter().map(|folder| (folder.clone(), existing(built(&folder).join("resp.wasm")))).collect()
}

/// A plugin of `tests/guests/wat/`, by its name, as a module file.
#[must_use]
pub fn wat_guest(name: &str) -> PathBuf {
    let source = root().join("tests/guests/wat").join(format!("{name}.wat"));
    guest_file(&source).unwrap_or_else(|why| panic!("{why}"))
}

/// A module file as it is, or one made of a file in WebAssembly's text form, in which `$CONTRACT` stands for the
/// contract's version.
pub fn guest_file(path: &Path) -> Result<PathBuf, String> {
    if path.extension().is_none_or(|extension| extension != "wat") {
        return Ok(path.to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let module = wat::parse_str(text.replace("$CONTRACT", protap_plugin::contract::VERSION))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    // Tests run side by side: none must see another's half of a file.
    let name = format!("{}-{:?}.wasm", path.file_stem().unwrap_or_default().display(), std::thread::current().id());
    let file = scratch("guests").join(name.replace(['(', ')'], ""));
    std::fs::write(&file, module).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    Ok(file)
}

/// A folder for a test's files, under the profile's folder for temporary files.
#[must_use]
pub fn scratch(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp/e2e").join(test);
    std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written to");
    folder
}

/// A capture and what is known about it.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// The capture file.
    pub path: PathBuf,
    /// Its name without folder and extensions.
    pub name: String,
    /// The protocol that it holds, which is its folder's name.
    pub protocol: String,
}

impl Fixture {
    /// The capture's bytes, as they are in the file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap_or_else(|error| panic!("cannot read {}: {error}", self.path.display()))
    }

    /// A file of the independent decode.
    #[must_use]
    pub fn oracle(&self, extension: &str) -> PathBuf {
        let folder = self.path.parent().expect("a file has a folder");
        folder.join("oracle").join(format!("{}.{extension}", self.name))
    }
}

/// The captures of a folder of `tests/captures/`, by name.
#[must_use]
pub fn fixtures(protocol: &str) -> Vec<Fixture> {
    let found = captures_in(&root().join("tests/captures").join(protocol));
    assert!(!found.is_empty(), "no captures in tests/captures/{protocol}");
    found
}

/// The capture of `tests/captures/` with that name, as `kafka/noida_kcat171`.
#[must_use]
pub fn fixture(name: &str) -> Fixture {
    let (protocol, short) = name.split_once('/').expect("protocol/name");
    let found = fixtures(protocol).into_iter().find(|fixture| fixture.name == short);
    found.unwrap_or_else(|| panic!("no capture {short} in tests/captures/{protocol}"))
}

/// Further captures with decodes, outside of the repository, which are not among our own.
#[must_use]
pub fn further_captures(protocol: &str) -> Vec<Fixture> {
    let ours: Vec<String> = fixtures(protocol).into_iter().map(|fixture| fixture.name).collect();
    let found = captures_in(&root().join("../shared/captures").join(protocol));
    found.into_iter().filter(|fixture| !ours.contains(&fixture.name)).collect()
}

fn captures_in(folder: &Path) -> Vec<Fixture> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<Fixture> = entries.filter_map(|entry| as_fixture(entry.ok()?.path())).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn as_fixture(path: PathBuf) -> Option<Fixture> {
    let file = path.file_name()?.to_str()?;
    let plain = file.strip_suffix(".gz").unwrap_or(file);
    let name = plain.strip_suffix(".pcap").or_else(|| plain.strip_suffix(".pcapng"))?.to_owned();
    let protocol = path.parent()?.file_name()?.to_str()?.to_owned();
    Some(Fixture { name, protocol, path })
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run the tests with `make test`, which builds it", path.display());
    path
}
