//! Nobody claims what is not theirs: a smaller version of `make matrix`.

use protap_e2e::matrix::{Plan, all_traffic, built_plugins, run};

#[test]
fn no_plugin_claims_another_protocol() {
    let traffic = all_traffic();
    for traffic in &traffic {
        assert!(traffic.flows >= 100, "{} has only {} flows", traffic.name, traffic.flows);
    }
    assert!(traffic.len() >= 12, "only {} protocols", traffic.len());
    let plugins = built_plugins();
    assert!(plugins.len() >= 3, "only {plugins:?}: run the tests with `make test`, which builds the plugins");
    let report = run(Plan { starts: 2, heads: 100_000 }, &plugins, &traffic);
    assert!(report.wrong.is_empty(), "{report}{:#?}", &report.wrong[..report.wrong.len().min(20)]);
}
