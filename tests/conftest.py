"""What all tests share: pytest's own pytester, for tests of the plugin and of whole programs."""

pytest_plugins = ["pytester"]
