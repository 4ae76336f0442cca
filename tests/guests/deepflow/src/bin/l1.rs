//! The era L1: August 2023.

protap_deepflow_guests::exports!(L1, protap_deepflow_guests::give_http_result);

fn main() {}
