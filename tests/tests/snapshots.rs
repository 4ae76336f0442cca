//! The output as it is, for a handful of captures. A change shows in review: `cargo insta review`, or
//! `INSTA_UPDATE=always make test` and `git diff`.

use protap_e2e::artifacts::fixture;
use protap_e2e::engine::read;

#[test]
fn json_lines_are_as_they_were() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for name in [
            "kafka/mock_java3.9.1",
            "kafka/noida_kcat171",
            "kafka/noida_ck216_admin",
            "kafka/tansu_ck230_legacy_0.11.0.0",
            "mongodb/legacy_mockupdb_pm313_ops",
            "mongodb/comp_zlib_node790",
            "mongodb/secantus_pm420_crud",
        ] {
            let fixture = fixture(name);
            insta::assert_snapshot!(fixture.name.as_str(), read(fixture.bytes()).records.text);
        }
    });
}
