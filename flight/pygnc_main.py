"""The interface document's name for main.py: same arguments, same run."""

from main import start

if __name__ == "__main__":
    start()
