//! The era PB: March 2025, with the direction in what `check_payload` returns since December 2025. It draws random numbers,
//! as a hash map does.

protap_deepflow_guests::exports!(Pb, protap_deepflow_guests::give_record);
protap_deepflow_guests::custom_exports!(Pb);

fn main() {
    let map: std::collections::HashMap<u8, u8> = (0..8).map(|n| (n, n)).collect();
    assert_eq!(map.len(), 8);
}
