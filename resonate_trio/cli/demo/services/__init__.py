"""The three services of the demo. Each module is a program: `python -m resonate_trio.cli.demo.services.foo`."""
