"""Everything that touches the outside: codecs (pure), journals and stores, the simulated hospital, importers."""
