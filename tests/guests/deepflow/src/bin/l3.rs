//! The era L3: February 2024.

protap_deepflow_guests::exports!(L3, protap_deepflow_guests::give_record);

fn main() {}
