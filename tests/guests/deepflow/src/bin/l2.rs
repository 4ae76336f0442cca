//! The era L2: the end of August 2023: HTTP hooks give back records.

protap_deepflow_guests::exports!(L2, protap_deepflow_guests::give_record);

fn main() {}
