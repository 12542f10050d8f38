"""Users' instances of single-user servers: started when needed, watched, replaced, stopped; told to the edge."""
