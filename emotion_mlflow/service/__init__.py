"""The shared tracking stack of docker/, driven through the Docker SDK. Only `cli` stands below this room."""
