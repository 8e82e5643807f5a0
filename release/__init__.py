"""What a release needs beside the packages."""
