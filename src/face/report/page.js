const box=document.getElementById("filter"),runs=[...document.querySelectorAll(".runs tbody")],said=document.getElementById("said");
box.closest(".filter").hidden=false;
box.addEventListener("input",()=>{const words=box.value.toLowerCase().split(/\s+/);let shown=0;
for(const run of runs){const text=run.rows[0].textContent.toLowerCase();run.hidden=!words.every(word=>text.includes(word));shown+=!run.hidden}
said.textContent=shown+" of "+runs.length+" listed runs"});
