//! The era L0: April 2023: HTTP hooks give back through an import of their own.

protap_deepflow_guests::exports!(L0, protap_deepflow_guests::give_http_result);

fn main() {}
