mod settings;

fn main() {}
