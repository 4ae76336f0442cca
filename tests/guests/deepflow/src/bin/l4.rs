//! The era L4: April 2024, with custom messages. Its start ends with an exit, as some toolchains have it.

protap_deepflow_guests::exports!(L4, protap_deepflow_guests::give_record);
protap_deepflow_guests::custom_exports!(L4);

fn main() {
    #[cfg(target_os = "wasi")]
    std::process::exit(0);
}
